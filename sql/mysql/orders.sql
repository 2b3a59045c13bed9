-- Orders and what repeats of a request are told; each text is a command of src/store/.
-- name: lock_products
select p.id, p.sku, p.name, p.category, p.price, p.stock, p.created_at, p.updated_at
from json_table(?, '$[*]' columns (product_id bigint path '$.product_id')) as l
straight_join products p on p.id = l.product_id order by l.product_id for update
-- name: take_stock
update products p join json_table(?, '$[*]' columns (
    product_id bigint path '$.product_id', quantity int path '$.quantity'
)) as l on p.id = l.product_id
set p.stock = p.stock - l.quantity, p.updated_at = ?
-- name: insert_order
insert into orders (user_id, line_count, total, created_at) values (?, ?, ? * 0.01, ?)
-- name: inserted_id
select last_insert_id()
-- name: insert_lines
insert into order_lines (order_id, position, product_id, sku, name, price, quantity)
select given.order_id, l.position, l.product_id, l.sku, l.name, l.price * 0.01, l.quantity
from (select ? as order_id, ? as doc) as given, json_table(given.doc, '$[*]' columns (
    position int path '$.position', product_id bigint path '$.product_id',
    sku varchar(64) character set utf8mb4 path '$.sku', name varchar(255) character set utf8mb4 path '$.name',
    price bigint path '$.price', quantity int path '$.quantity'
)) as l
-- name: read_order
select o.id, o.total, o.created_at, l.product_id, l.sku, l.name, l.price, l.quantity
from orders o join order_lines l on l.order_id = o.id
where o.id = ? and o.user_id = ? order by l.position
-- name: list_orders
select id, total, line_count, created_at from orders
where user_id = ? order by created_at desc, id desc limit ?
-- name: list_orders_after
select o.id, o.total, o.line_count, o.created_at from (select ? as user_id, ? as last_id) as given
join orders last on last.id = given.last_id and last.user_id = given.user_id
join orders o on o.user_id = last.user_id
    and (o.created_at < last.created_at or (o.created_at = last.created_at and o.id < last.id))
order by o.created_at desc, o.id desc limit ?
-- name: reserve_key
insert ignore into idempotency_keys (user_id, idempotency_key, fingerprint, body, created_at)
values (?, ?, ?, '', ?)
-- name: read_key
select fingerprint, subject, body from idempotency_keys where user_id = ? and idempotency_key = ?
-- name: settle_key
update idempotency_keys set subject = ?, body = ? where user_id = ? and idempotency_key = ?
-- name: forget_keys
delete from idempotency_keys where created_at < ? order by created_at limit 1000
