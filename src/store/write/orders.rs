//! Orders: placed by taking stock, read by those who placed them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::products::later;
use super::row::{self, Stored};
use super::{Catalogue, Key, Refusal, Shortage, Work, Worked, now};
use crate::catalogue::{NewOrder, OrderLine};
use crate::encode::Layout;
use crate::rows::Cell;
use crate::store::access::Transaction;
use crate::store::backend::{Bind, Command, Datum, KINDS, Kind};
use crate::store::{RequestContext, StoreError, Tag};

/// The largest total of an order: 99999999999.99.
pub const MAX_TOTAL_CENTS: i64 = 9_999_999_999_999;

/// An order that was placed, now or by the first request of the same key.
#[derive(Debug)]
pub struct Placed {
    /// Its number.
    pub id: i64,
    /// It as JSON.
    pub body: Vec<u8>,
}

/// Which orders to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderPage {
    /// Only those that were placed before the one of this number.
    pub after: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

/// An order as it is stored.
struct Order {
    id: i64,
    created_at: i64,
    total: i64,
    lines: Vec<Line>,
}

struct Line {
    product_id: i64,
    sku: String,
    name: String,
    price: i64,
    quantity: i64,
}

impl Order {
    fn json(&self) -> Vec<u8> {
        let total = Cell::Decimal { unscaled: self.total, scale: 2 };
        let head = [Cell::Int(self.id), Cell::Timestamp(self.created_at), total];
        let mut out =
            row::encode(&["id", "created_at", "total"], Layout::Object, std::iter::once(head));
        let lines = self.lines.iter().map(|line| {
            [
                Cell::Int(line.product_id),
                Cell::Text(&line.sku),
                Cell::Text(&line.name),
                Cell::Decimal { unscaled: line.price, scale: 2 },
                Cell::Int(line.quantity),
            ]
        });
        out.pop();
        out.extend_from_slice(b",\"lines\":");
        let columns = ["product_id", "sku", "name", "price", "quantity"];
        out.extend(row::encode(&columns, Layout::Array, lines));
        out.push(b'}');
        out
    }
}

pub(super) struct Place {
    order: NewOrder,
    user: i64,
    key: Option<Key>,
    /// The products' numbers in their order, so that all lock them in the same.
    wanted: String,
}

impl Place {
    pub fn new(order: NewOrder, user: i64, key: Option<Key>) -> Self {
        let mut ids: Vec<i64> = order.lines().iter().map(|line| line.product_id).collect();
        ids.sort_unstable();
        let wanted = ids.into_iter().map(|id| json!({ "product_id": id }));
        let wanted = Value::from_iter(wanted).to_string();
        Self { order, user, key, wanted }
    }

    /// The products, locked.
    async fn products(
        &self,
        transaction: &mut Transaction,
    ) -> Result<HashMap<i64, Stored>, Refusal> {
        let binds = [Bind::Text(&self.wanted)];
        let lock = Command { name: "lock_products", binds: &binds, columns: &KINDS };
        let rows = transaction.run(&lock).await?.rows.into_iter();
        let stored = rows.map(|row| Stored::read(row).map(|stored| (stored.id, stored)));
        Ok(stored.collect::<Result<_, _>>()?)
    }

    /// The lines with what the products are now.
    fn lines(&self, products: &HashMap<i64, Stored>) -> Result<Vec<Line>, Refusal> {
        let (mut unknown, mut short, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for &OrderLine { product_id, quantity } in self.order.lines() {
            let Some(Stored { product, .. }) = products.get(&product_id) else {
                unknown.push(product_id);
                continue;
            };
            let available = product.stock().max(0);
            if available < quantity {
                short.push(Shortage { product_id, asked: quantity, available });
            }
            lines.push(Line {
                product_id,
                sku: product.sku().to_owned(),
                name: product.name().to_owned(),
                price: product.price().cents(),
                quantity,
            });
        }
        if !unknown.is_empty() {
            Err(Refusal::UnknownProducts(unknown))
        } else if !short.is_empty() {
            Err(Refusal::NotEnough(short))
        } else {
            Ok(lines)
        }
    }
}

impl Work for Place {
    type Done = Placed;

    async fn run(&self, transaction: &mut Transaction) -> Result<Worked<Placed>, Refusal> {
        if let Some(key) = &self.key
            && let Some(record) = key.reserve(transaction).await?
        {
            let id = record.subject;
            // Orders never change.
            let rows =
                transaction.run(&read_command(&[Bind::Int(id), Bind::Int(self.user)])).await?;
            let order = order_of(rows.rows)?.ok_or_else(|| row::unreadable("an order"))?;
            return Ok(Worked::unchanged(Placed { id, body: order.json() }));
        }
        let products = self.products(transaction).await?;
        let lines = self.lines(&products)?;
        // Below 100 lines x 1,000,000 x 9,999,999,999 cents, which is below 2^63.
        let total = lines.iter().map(|line| line.price * line.quantity).sum();
        if total > MAX_TOTAL_CENTS {
            return Err(Refusal::TooMuch);
        }
        let last_change = products.values().map(|stored| stored.updated_at).max();
        let created_at = last_change.map_or_else(now, later);
        let mut order = Order { id: 0, created_at, total, lines };
        order.id = self.write(transaction, &order).await?;
        let mut categories: Vec<&str> =
            products.values().map(|stored| stored.product.category()).collect();
        categories.sort_unstable();
        categories.dedup();
        let categories = categories.into_iter().map(|category| Tag::Category(category.into()));
        let tags = std::iter::once(Tag::All).chain(categories).collect();
        Ok(Worked::changed(Placed { id: order.id, body: order.json() }, tags))
    }
}

impl Place {
    /// Takes the stock and writes the order; its number.
    async fn write(&self, transaction: &mut Transaction, order: &Order) -> Result<i64, StoreError> {
        let lines = order.lines.iter().enumerate().map(|(position, line)| {
            json!({
                "position": position, "product_id": line.product_id, "sku": line.sku,
                "name": line.name, "price": line.price, "quantity": line.quantity,
            })
        });
        let lines = Value::from_iter(lines).to_string();
        let head = [
            Bind::Int(self.user),
            Bind::Int(order.lines.len() as i64),
            Bind::Int(order.total),
            Bind::Timestamp(order.created_at),
        ];
        let [user, count, total, at] = head;
        if transaction.writes_many() {
            let key = self.key.as_ref().map_or("", |key| &key.name);
            let binds = [user, count, total, at, Bind::Text(&lines), Bind::Text(key)];
            let place = Command { name: "place_order", binds: &binds, columns: &[Kind::Int] };
            return number(transaction.run(&place).await?.rows);
        }
        let binds = [Bind::Text(&lines), at];
        transaction.run(&Command { name: "take_stock", binds: &binds, columns: &[] }).await?;
        let insert = Command { name: "insert_order", binds: &head, columns: &[Kind::Int] };
        let mut rows = transaction.run(&insert).await?.rows;
        if rows.is_empty() {
            // MySQL gives no rows of what is written.
            let read = Command { name: "inserted_id", binds: &[], columns: &[Kind::Int] };
            rows = transaction.run(&read).await?.rows;
        }
        let id = number(rows)?;
        let binds = [Bind::Int(id), Bind::Text(&lines)];
        transaction.run(&Command { name: "insert_lines", binds: &binds, columns: &[] }).await?;
        if let Some(key) = &self.key {
            key.settle(transaction, id, "").await?;
        }
        Ok(id)
    }
}

/// The number in a single row.
fn number(rows: Vec<Vec<Datum>>) -> Result<i64, StoreError> {
    match rows.first().map(Vec::as_slice) {
        Some([Datum::Int(id)]) => Ok(*id),
        _ => Err(row::unreadable("the number of a new order")),
    }
}

fn read_command<'a>(binds: &'a [Bind<'a>; 2]) -> Command<'a> {
    use Kind::{Int, Price, Text, Timestamp};
    let columns = &[Int, Price, Timestamp, Int, Text, Text, Price, Int];
    Command { name: "read_order", binds, columns }
}

/// The order of whose lines these are the rows.
fn order_of(rows: Vec<Vec<Datum>>) -> Result<Option<Order>, StoreError> {
    use Datum::{Int, Price, Text, Timestamp};
    let mut found: Option<Order> = None;
    for row in rows {
        let Ok(
            [
                Int(id),
                Price(total),
                Timestamp(created_at),
                Int(product_id),
                Text(sku),
                Text(name),
                Price(price),
                Int(quantity),
            ],
        ) = <[Datum; 8]>::try_from(row)
        else {
            return Err(row::unreadable("an order"));
        };
        let order = found.get_or_insert_with(|| Order { id, created_at, total, lines: Vec::new() });
        order.lines.push(Line { product_id, sku, name, price, quantity });
    }
    Ok(found)
}

/// An order of this user as JSON.
pub(super) async fn read(
    catalogue: &Catalogue,
    id: i64,
    user: i64,
    context: &RequestContext,
) -> Result<Option<Vec<u8>>, StoreError> {
    let binds = [Bind::Int(id), Bind::Int(user)];
    let done = catalogue.read(&read_command(&binds), context).await?;
    Ok(order_of(done.rows)?.map(|order| order.json()))
}

/// A page of this user's orders as JSON.
pub(super) async fn list(
    catalogue: &Catalogue,
    page: OrderPage,
    user: i64,
    context: &RequestContext,
) -> Result<Vec<u8>, StoreError> {
    use Datum::{Int, Price, Timestamp};
    let (user, limit) = (Bind::Int(user), Bind::Int(i64::from(page.limit)));
    let all = [user, Bind::Int(page.after.unwrap_or_default()), limit];
    let (name, binds): (_, &[Bind<'_>]) = match page.after {
        Some(_) => ("list_orders_after", &all),
        None => ("list_orders", &[user, limit]),
    };
    let columns = &[Kind::Int, Kind::Price, Kind::Int, Kind::Timestamp];
    let done = catalogue.read(&Command { name, binds, columns }, context).await?;
    let rows: Result<Vec<_>, _> = done.rows.into_iter().map(<[Datum; 4]>::try_from).collect();
    let cells: Option<Vec<_>> = rows
        .unwrap_or_default()
        .into_iter()
        .map(|row| match row {
            [Int(id), Price(total), Int(lines), Timestamp(at)] => Some([
                Cell::Int(id),
                Cell::Timestamp(at),
                Cell::Decimal { unscaled: total, scale: 2 },
                Cell::Int(lines),
            ]),
            _ => None,
        })
        .collect();
    let cells = cells.ok_or_else(|| row::unreadable("an order"))?;
    let columns = ["id", "created_at", "total", "line_count"];
    Ok(row::encode(&columns, Layout::Array, cells.into_iter()))
}
