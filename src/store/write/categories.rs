//! How many products each category has, kept in memory until a write, here or on another replica,
//! changes it or it is too old.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Mutex;

use super::{Catalogue, row};
use crate::encode::Layout;
use crate::rows::Cell;
use crate::store::access::Access;
use crate::store::backend::{Command, Datum, Kind};
use crate::store::{RequestContext, StoreError, Tag, Token};

/// What was counted last. Whoever finds it too old counts, and those who come meanwhile wait.
#[derive(Default)]
pub struct Categories(Mutex<Option<Counted>>);

struct Counted {
    /// By whose connections.
    access: Weak<dyn Access>,
    /// The version of the categories in this process when it was begun.
    version: u64,
    /// That on all replicas; `None` where it could not be known.
    shared: Option<Vec<Token>>,
    at: Instant,
    body: Bytes,
}

impl Categories {
    /// The categories in their order as JSON, at most `ttl` old.
    ///
    /// # Errors
    /// As any statement.
    pub async fn get(
        &self,
        catalogue: &Catalogue,
        ttl: Duration,
        context: &RequestContext,
    ) -> Result<Bytes, StoreError> {
        let counted = async {
            let mut kept = self.0.lock().await;
            // Before it is counted: what is written meanwhile makes it old.
            let version = catalogue.versions.current(&Tag::Categories);
            let shared = catalogue.versions.shared(&Tag::Categories).await;
            let access = Arc::downgrade(&catalogue.access);
            if let Some(counted) = &*kept
                && counted.version == version
                && shared.is_some()
                && counted.shared == shared
                && counted.at.elapsed() < ttl
                && counted.access.ptr_eq(&access)
            {
                return Ok(counted.body.clone());
            }
            let at = Instant::now();
            let body: Bytes = count(catalogue, context).await?.into();
            *kept = Some(Counted { access, version, shared, at, body: body.clone() });
            Ok(body)
        };
        super::transact::in_time(context, counted).await
    }
}

async fn count(catalogue: &Catalogue, context: &RequestContext) -> Result<Vec<u8>, StoreError> {
    let command =
        Command { name: "count_categories", binds: &[], columns: &[Kind::Text, Kind::Int] };
    let done = catalogue.read(&command, context).await?;
    let rows = done.rows.iter().map(|row| match &row[..] {
        [Datum::Text(category), Datum::Int(count)] => Ok([Cell::Text(category), Cell::Int(*count)]),
        _ => Err(row::unreadable("a category")),
    });
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(row::encode(&["category", "products"], Layout::Array, rows.into_iter()))
}
