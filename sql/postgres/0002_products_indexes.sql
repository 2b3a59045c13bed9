-- Also run after a bulk load, which is faster into a table without indexes.
alter table products add constraint products_pkey primary key (id);
alter table products add constraint products_sku_key unique (sku);
create index products_category_id on products (category, id);
create index products_price on products (price, id);
create index products_in_stock on products (id) where stock > 0;
create index products_out_of_stock on products (id) where stock = 0;
