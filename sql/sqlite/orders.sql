-- Orders and what repeats of a request are told; each text is a command of src/store/.
-- name: lock_products
select id, sku, name, category, price, stock, created_at, updated_at from products
where id in (select value ->> 'product_id' from json_each(?1)) order by id
-- name: take_stock
update products set updated_at = ?2, stock = stock - (
    select value ->> 'quantity' from json_each(?1) where value ->> 'product_id' = products.id)
where id in (select value ->> 'product_id' from json_each(?1))
-- name: insert_order
insert into orders (user_id, line_count, total, created_at) values (?1, ?2, ?3, ?4) returning id
-- name: insert_lines
insert into order_lines (order_id, position, product_id, sku, name, price, quantity)
select ?1, value ->> 'position', value ->> 'product_id', value ->> 'sku', value ->> 'name',
    value ->> 'price', value ->> 'quantity'
from json_each(?2)
-- name: read_order
select o.id, o.total, o.created_at, l.product_id, l.sku, l.name, l.price, l.quantity
from orders o join order_lines l on l.order_id = o.id
where o.id = ?1 and o.user_id = ?2 order by l.position
-- name: list_orders
select id, total, line_count, created_at from orders
where user_id = ?1 order by created_at desc, id desc limit ?2
-- name: list_orders_after
select id, total, line_count, created_at from orders
where user_id = ?1 and (created_at, id) < (
    select o.created_at, o.id from orders o where o.id = ?2 and o.user_id = ?1)
order by created_at desc, id desc limit ?3
-- name: reserve_key
insert into idempotency_keys (user_id, idempotency_key, fingerprint, created_at)
values (?1, ?2, ?3, ?4) on conflict do nothing
-- name: read_key
select fingerprint, subject, body from idempotency_keys where user_id = ?1 and idempotency_key = ?2
-- name: settle_key
update idempotency_keys set subject = ?1, body = ?2 where user_id = ?3 and idempotency_key = ?4
-- name: forget_keys
delete from idempotency_keys where (user_id, idempotency_key) in (
    select user_id, idempotency_key from idempotency_keys where created_at < ?1 order by created_at limit 1000)
