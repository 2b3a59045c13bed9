-- Fragments of the one query; src/store/backend/sql.rs composes them.
-- name: select
select id, sku, name, category, price, stock, created_at, updated_at from products
-- name: count
select count(*) from products
-- name: id
id = {}
-- name: category
category = {}
-- name: min_price
price >= {}
-- name: max_price
price <= {}
-- name: in_stock
stock > 0
-- name: out_of_stock
stock = 0
-- name: after
id > {}
-- name: order
order by id
-- name: limit
limit {}
-- name: no_limit
limit -1
-- name: offset
offset {}
