-- What writes products; each text is a command of src/store/.
-- name: lock_product
select id, sku, name, category, price, stock, created_at, updated_at from products where id = ?1
-- name: set_stock
update products set stock = ?1, updated_at = ?2 where id = ?3
-- name: insert_products
insert into products (sku, name, category, price, stock, created_at, updated_at)
select value ->> 'sku', value ->> 'name', value ->> 'category', value ->> 'price', value ->> 'stock', ?2, ?2
from json_each(?1) order by key
returning id, sku
-- name: ids_of_skus
select id, sku from products where sku in (select value ->> 'sku' from json_each(?1))
-- name: update_product
update products set sku = ?1, name = ?2, category = ?3, price = ?4, stock = ?5, updated_at = ?6 where id = ?7
-- name: delete_product
delete from products where id = ?1
-- name: count_categories
select category, count(*) from products group by category order by category
