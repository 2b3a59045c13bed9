//! Making, changing and deleting products.

use std::collections::HashMap;

use serde_json::json;

use super::row::{self, Stored};
use super::{Key, Refusal, Work, Worked, now};
use crate::catalogue::{NewProduct, ProductPatch};
use crate::encode::Fingerprint;
use crate::store::access::Transaction;
use crate::store::backend::{Bind, Command, Datum, KINDS, Kind};
use crate::store::{StoreError, Tag};

/// Products that were made, now or by the first request of the same key.
#[derive(Debug)]
pub struct Created {
    /// The number of the first.
    pub id: i64,
    /// The product as JSON, or all of them in the order in which they were sent.
    pub body: Vec<u8>,
}

/// What a client takes a product to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Any,
    /// Its JSON is one of these.
    OneOf(Vec<Fingerprint>),
}

/// What is to become of a product.
#[derive(Debug, Clone)]
pub enum Change {
    /// This, whatever it was.
    Replace(NewProduct),
    /// This, where it says so.
    Patch(ProductPatch),
    /// Nothing.
    Delete,
}

/// What a product that was one thing and is another changes.
fn tags(before: Option<&str>, after: Option<&str>) -> Vec<Tag> {
    let mut tags = vec![Tag::All];
    tags.extend(before.map(|category| Tag::Category(category.into())));
    if before != after {
        tags.extend(after.map(|category| Tag::Category(category.into())));
        tags.push(Tag::Categories);
    }
    tags
}

pub(super) struct Create {
    pub products: Vec<NewProduct>,
    /// Whether the answer is the one product and not an array.
    pub single: bool,
    pub key: Option<Key>,
}

impl Create {
    /// Their numbers, by sku.
    async fn insert(
        &self,
        transaction: &mut Transaction,
        at: i64,
    ) -> Result<HashMap<String, i64>, StoreError> {
        let products = self.products.iter().enumerate().map(|(position, product)| {
            json!({
                "position": position, "sku": product.sku(), "name": product.name(),
                "category": product.category(), "price": product.price().cents(),
                "stock": product.stock(),
            })
        });
        let products = serde_json::Value::from_iter(products).to_string();
        let binds = [Bind::Text(&products), Bind::Timestamp(at)];
        let columns = &[Kind::Int, Kind::Text];
        let insert = Command { name: "insert_products", binds: &binds, columns };
        let mut done = transaction.run(&insert).await?;
        if done.rows.is_empty() {
            // MySQL gives no rows of what is written.
            let read = Command { name: "ids_of_skus", binds: &binds[..1], columns };
            done = transaction.run(&read).await?;
        }
        let ids = done.rows.into_iter().filter_map(|row| match <[Datum; 2]>::try_from(row) {
            Ok([Datum::Int(id), Datum::Text(sku)]) => Some((sku, id)),
            _ => None,
        });
        Ok(ids.collect())
    }
}

impl Work for Create {
    type Done = Created;

    async fn run(&self, transaction: &mut Transaction) -> Result<Worked<Created>, Refusal> {
        if let Some(key) = &self.key
            && let Some(record) = key.reserve(transaction).await?
        {
            let body = record.body.into_bytes();
            return Ok(Worked::unchanged(Created { id: record.subject, body }));
        }
        let at = now();
        let ids = self.insert(transaction, at).await?;
        let stored = self.products.iter().map(|product| {
            let id = ids.get(product.sku()).copied()?;
            Some(Stored { id, product: product.clone(), created_at: at, updated_at: at })
        });
        let stored: Option<Vec<Stored>> = stored.collect();
        let stored = stored.ok_or_else(|| row::unreadable("the number of a new product"))?;
        let body = match &stored[..] {
            [product] if self.single => product.json(),
            products => Stored::json_of_all(products),
        };
        let id = stored[0].id;
        if let Some(key) = &self.key {
            key.settle(transaction, id, row::text(&body)).await?;
        }
        let mut categories: Vec<&str> = self.products.iter().map(NewProduct::category).collect();
        categories.sort_unstable();
        categories.dedup();
        let categories = categories.into_iter().map(|category| Tag::Category(category.into()));
        let tags = [Tag::All, Tag::Categories].into_iter().chain(categories).collect();
        Ok(Worked::changed(Created { id, body }, tags))
    }

    fn skus(&self) -> Vec<&str> {
        self.products.iter().map(NewProduct::sku).collect()
    }
}

pub(super) struct ChangeOne {
    pub id: i64,
    pub expected: Expected,
    pub change: Change,
}

impl Work for ChangeOne {
    /// The JSON of the product as it is then; empty when it is gone.
    type Done = Vec<u8>;

    async fn run(&self, transaction: &mut Transaction) -> Result<Worked<Vec<u8>>, Refusal> {
        let lock = Command { name: "lock_product", binds: &[Bind::Int(self.id)], columns: &KINDS };
        let found = transaction.run(&lock).await?.rows.into_iter().next();
        let found = Stored::read(found.ok_or(Refusal::NotFound)?)?;
        let before = found.json();
        if let Expected::OneOf(known) = &self.expected
            && !known.contains(&Fingerprint::of(&before))
        {
            return Err(Refusal::Stale);
        }
        let product = match &self.change {
            Change::Replace(product) => product.clone(),
            Change::Patch(patch) => patch.apply(found.product.clone()),
            Change::Delete => {
                let binds = [Bind::Int(self.id)];
                let delete = Command { name: "delete_product", binds: &binds, columns: &[] };
                transaction.run(&delete).await?;
                let tags = tags(Some(found.product.category()), None);
                return Ok(Worked::changed(Vec::new(), tags));
            }
        };
        if product == found.product {
            return Ok(Worked::unchanged(before));
        }
        let tags = tags(Some(found.product.category()), Some(product.category()));
        let stored = Stored { product, updated_at: later(found.updated_at), ..found };
        update(transaction, &stored).await?;
        Ok(Worked::changed(stored.json(), tags))
    }

    fn skus(&self) -> Vec<&str> {
        match &self.change {
            Change::Replace(product) => vec![product.sku()],
            Change::Patch(patch) => patch.sku().into_iter().collect(),
            Change::Delete => Vec::new(),
        }
    }
}

/// Now, or if a clock went back just after `before`: what was changed never looks as it did before.
pub(super) fn later(before: i64) -> i64 {
    now().max(before.saturating_add(1))
}

async fn update(transaction: &mut Transaction, stored: &Stored) -> Result<(), StoreError> {
    let product = &stored.product;
    let binds = [
        Bind::Text(product.sku()),
        Bind::Text(product.name()),
        Bind::Text(product.category()),
        Bind::Price(product.price().cents()),
        Bind::Int(product.stock()),
        Bind::Timestamp(stored.updated_at),
        Bind::Int(stored.id),
    ];
    let update = Command { name: "update_product", binds: &binds, columns: &[] };
    transaction.run(&update).await.map(drop)
}
