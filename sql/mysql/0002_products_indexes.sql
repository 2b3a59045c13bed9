-- Also run after a bulk load, which is faster into a table without indexes. One statement, because
-- each statement is a transaction of its own.
alter table {table}
    add unique index products_sku_key (sku),
    add index products_category_id (category, id),
    add index products_price (price, id),
    add index products_stock (stock, id);
