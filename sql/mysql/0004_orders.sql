-- Lines keep what the product was when it was ordered, and do not refer to it: a load replaces the
-- products, and an order outlives its product. Instants are in UTC.
create table if not exists orders (
    id bigint not null auto_increment primary key,
    user_id bigint not null,
    line_count int not null,
    total decimal(13, 2) not null,
    created_at datetime(6) not null,
    index orders_user_created (user_id, created_at desc, id desc),
    constraint orders_user foreign key (user_id) references users (id)
) engine = InnoDB;
create table if not exists order_lines (
    order_id bigint not null,
    position int not null,
    product_id bigint not null,
    sku varchar(64) not null,
    name varchar(255) not null,
    price decimal(10, 2) not null,
    quantity int not null,
    primary key (order_id, position),
    constraint order_lines_order foreign key (order_id) references orders (id) on delete cascade
) engine = InnoDB default character set utf8mb4
    collate /*M!100202 utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */;
-- What a request of this key led to, for whoever sends it again.
create table if not exists idempotency_keys (
    user_id bigint not null,
    idempotency_key varchar(255) not null,
    fingerprint char(64) not null,
    subject bigint not null default 0,
    body mediumtext not null,
    created_at datetime(6) not null,
    primary key (user_id, idempotency_key),
    index idempotency_keys_created (created_at),
    constraint idempotency_keys_user foreign key (user_id) references users (id) on delete cascade
) engine = InnoDB default character set utf8mb4
    collate /*M!100202 utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */;
