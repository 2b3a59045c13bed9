-- {table} is products, or the table that a load fills before it takes that name.
-- Instants are in UTC. Text compares byte by byte and trailing blanks count, as on every other
-- backend: plain utf8mb4_bin would take 'books ' for 'books'.
create table if not exists {table} (
    id bigint not null auto_increment primary key,
    sku varchar(64) not null,
    name varchar(255) not null,
    category varchar(64) not null,
    price decimal(10, 2) not null,
    stock int not null,
    created_at datetime(6) not null,
    updated_at datetime(6) not null
) engine = InnoDB default character set utf8mb4
    collate /*M!100202 utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */;
