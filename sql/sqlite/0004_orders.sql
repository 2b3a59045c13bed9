-- Lines keep what the product was when it was ordered, and do not refer to it: a load replaces the
-- products, and an order outlives its product. Amounts in cents, instants in microseconds since
-- 1970-01-01T00:00:00Z.
create table orders (
    id integer primary key autoincrement,
    user_id integer not null references users (id),
    line_count integer not null,
    total integer not null,
    created_at integer not null
) strict;
create index orders_user_created on orders (user_id, created_at desc, id desc);
create table order_lines (
    order_id integer not null references orders (id) on delete cascade,
    position integer not null,
    product_id integer not null,
    sku text not null,
    name text not null,
    price integer not null,
    quantity integer not null,
    primary key (order_id, position)
) strict, without rowid;
-- What a request of this key led to, for whoever sends it again.
create table idempotency_keys (
    user_id integer not null references users (id) on delete cascade,
    idempotency_key text not null,
    fingerprint text not null,
    subject integer not null default 0,
    body text not null default '',
    created_at integer not null,
    primary key (user_id, idempotency_key)
) strict, without rowid;
create index idempotency_keys_created on idempotency_keys (created_at);
