-- What writes products; each text is a command of src/store/.
-- name: lock_product
select id, sku, name, category, price, stock, created_at, updated_at from products where id = $1 for update
-- name: set_stock
update products set stock = $1::bigint, updated_at = $2 where id = $3
-- name: insert_products
insert into products (sku, name, category, price, stock, created_at, updated_at)
select n.sku, n.name, n.category, n.price * 0.01, n.stock, $2::timestamptz, $2::timestamptz
from jsonb_to_recordset($1::text::jsonb) as n
    (position integer, sku text, name text, category text, price bigint, stock integer)
order by n.position
returning id, sku
-- name: ids_of_skus
select id, sku from products
where sku = any (array(select n.sku from jsonb_to_recordset($1::text::jsonb) as n (sku text)))
-- name: update_product
update products set sku = $1, name = $2, category = $3, price = $4, stock = $5::bigint, updated_at = $6
where id = $7::bigint
-- name: delete_product
delete from products where id = $1::bigint
-- name: count_categories
select category, count(*) from products group by category order by category
