-- price in cents, instants in microseconds since 1970-01-01T00:00:00Z.
create table products (
    id integer primary key autoincrement,
    sku text not null,
    name text not null,
    category text not null,
    price integer not null,
    stock integer not null,
    created_at integer not null,
    updated_at integer not null
) strict;
