-- What writes products; each text is a command of src/store/.
-- name: lock_product
select id, sku, name, category, price, stock, created_at, updated_at from products where id = ?1
-- name: set_stock
update products set stock = ?1, updated_at = ?2 where id = ?3
