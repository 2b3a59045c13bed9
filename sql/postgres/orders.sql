-- Orders and what repeats of a request are told; each text is a command of src/store/.
-- name: lock_products
select id, sku, name, category, price, stock, created_at, updated_at from products
where id = any (array(select l.product_id from jsonb_to_recordset($1::text::jsonb) as l (product_id bigint)))
order by id for update
-- name: place_order
with line as (
    select l.position, l.product_id, l.sku, l.name, l.price, l.quantity
    from jsonb_to_recordset($5::text::jsonb) as l
        (position integer, product_id bigint, sku text, name text, price bigint, quantity integer)
), taken as (
    update products set stock = products.stock - line.quantity, updated_at = $4::timestamptz
    from line where products.id = line.product_id
), placed as (
    insert into orders (user_id, line_count, total, created_at)
    values ($1::bigint, $2::bigint, $3::bigint * 0.01, $4::timestamptz) returning id
), listed as (
    insert into order_lines (order_id, position, product_id, sku, name, price, quantity)
    select placed.id, line.position, line.product_id, line.sku, line.name, line.price * 0.01, line.quantity
    from placed cross join line
), settled as (
    update idempotency_keys set subject = placed.id from placed
    where user_id = $1::bigint and idempotency_key = $6
)
select id from placed
-- name: read_order
select o.id, o.total, o.created_at, l.product_id, l.sku, l.name, l.price, l.quantity
from orders o join order_lines l on l.order_id = o.id
where o.id = $1::bigint and o.user_id = $2::bigint order by l.position
-- name: list_orders
select id, total, line_count, created_at from orders
where user_id = $1::bigint order by created_at desc, id desc limit $2
-- name: list_orders_after
select id, total, line_count, created_at from orders
where user_id = $1::bigint and (created_at, id) < (
    select o.created_at, o.id from orders o where o.id = $2::bigint and o.user_id = $1::bigint)
order by created_at desc, id desc limit $3
-- name: reserve_key
insert into idempotency_keys (user_id, idempotency_key, fingerprint, created_at)
values ($1::bigint, $2, $3, $4) on conflict do nothing
-- name: read_key
select fingerprint, subject, body from idempotency_keys where user_id = $1::bigint and idempotency_key = $2
-- name: settle_key
update idempotency_keys set subject = $1::bigint, body = $2 where user_id = $3::bigint and idempotency_key = $4
-- name: forget_keys
delete from idempotency_keys where (user_id, idempotency_key) in (
    select user_id, idempotency_key from idempotency_keys where created_at < $1 order by created_at limit 1000)
