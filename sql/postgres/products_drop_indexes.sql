alter table products drop constraint if exists products_pkey;
alter table products drop constraint if exists products_sku_key;
drop index if exists products_category_id, products_price, products_in_stock;
drop index if exists products_out_of_stock;
