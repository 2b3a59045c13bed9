-- What writes products; each text is a command of src/store/. Texts out of JSON name their character set:
-- that of the database may hold less.
-- name: lock_product
select id, sku, name, category, price, stock, created_at, updated_at from products where id = ? for update
-- name: set_stock
update products set stock = ?, updated_at = ? where id = ?
-- name: insert_products
insert into products (sku, name, category, price, stock, created_at, updated_at)
select n.sku, n.name, n.category, n.price * 0.01, n.stock, given.made_at, given.made_at
from (select ? as doc, cast(? as datetime(6)) as made_at) as given, json_table(given.doc, '$[*]' columns (
    position int path '$.position', sku varchar(64) character set utf8mb4 path '$.sku',
    name varchar(255) character set utf8mb4 path '$.name',
    category varchar(64) character set utf8mb4 path '$.category',
    price bigint path '$.price', stock int path '$.stock'
)) as n
order by n.position
-- name: ids_of_skus
select id, sku from products where sku in (
    select n.sku collate /*M!100202 utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */
    from json_table(?, '$[*]' columns (sku varchar(64) character set utf8mb4 path '$.sku')) as n
)
-- name: update_product
update products set sku = ?, name = ?, category = ?, price = ? * 0.01, stock = ?, updated_at = ? where id = ?
-- name: delete_product
delete from products where id = ?
-- name: count_categories
select category, count(*) from products group by category order by category
