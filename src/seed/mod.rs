//! The data set, and getting it into a database.

mod products;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use products::{PRICE_WINDOWS, Products, THE_CATEGORY, price_windows};

use crate::store::backend::{Backend, Existing, OnProgress};
use crate::store::{ErrorKind, StoreError};

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// Rows loaded; 0 when there were products already.
    pub rows: u64,
    /// Time that it took, indexes and statistics included.
    pub took: Duration,
}

/// Creates the tables where they are missing and loads `rows` products of `seed`.
///
/// # Errors
/// Whatever the database refuses. Nothing is half-loaded: it is one transaction.
pub async fn load(
    backend: &Arc<dyn Backend>,
    (rows, seed): (u64, u64),
    existing: Existing,
    on_progress: OnProgress<'_>,
) -> Result<Loaded, StoreError> {
    let started = Instant::now();
    let mut admin = backend.admin().await?;
    admin.migrate().await?;
    let mut feed = Products::new(rows, seed);
    let rows = admin.load(&mut feed, existing, on_progress).await?;
    Ok(Loaded { rows, took: started.elapsed() })
}

/// Makes sure that there are products to serve: brings the schema up to date, and loads the data
/// set if there are none and `auto` allows it.
///
/// # Errors
/// Where nothing may be loaded, a missing table is [`ErrorKind::NotPrepared`]; an empty one is served.
pub async fn prepare(
    backend: &Arc<dyn Backend>,
    seed: &crate::config::Seed,
    on_progress: OnProgress<'_>,
) -> Result<Option<Loaded>, StoreError> {
    let loaded = if seed.auto {
        let wanted = (seed.rows, seed.seed);
        let loaded = load(backend, wanted, Existing::Keep, on_progress).await?;
        (loaded.rows > 0).then_some(loaded)
    } else {
        None
    };
    match backend.has_products().await? {
        Some(_) => Ok(loaded),
        None => Err(StoreError::new(
            ErrorKind::NotPrepared,
            "there is no table `products`; run `poolwise seed` with the same --config to create and fill it, or set seed.auto = true",
        )),
    }
}

/// Makes sure that there are products to serve in a database that we do not fill, such as a replica.
/// Looks again for as long as `patience`.
///
/// # Errors
/// A missing table is [`ErrorKind::NotPrepared`]; an empty one is served.
pub async fn wait_for(backend: &Arc<dyn Backend>, patience: Duration) -> Result<(), StoreError> {
    let started = Instant::now();
    while backend.has_products().await?.is_none() {
        if started.elapsed() >= patience {
            return Err(StoreError::new(
                ErrorKind::NotPrepared,
                "there is no table `products`; this database is not filled from here: run `poolwise seed` with it as database.url, or wait until it has what its primary has",
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
