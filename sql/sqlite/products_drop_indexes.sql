drop index if exists products_sku_key;
drop index if exists products_category_id;
drop index if exists products_price;
drop index if exists products_in_stock;
drop index if exists products_out_of_stock;
