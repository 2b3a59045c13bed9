//! Waiting at start-up for servers that are not there yet, where `server.wait_for` allows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::store::backend::Backend;
use crate::store::{Backends, ErrorKind, StoreError, Strategies};

/// Time before the second attempt; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses between attempts, longer and longer.
struct Pauses<'a> {
    patience: &'a Patience,
    /// `None` before the first.
    last: Option<Duration>,
}

impl Pauses<'_> {
    /// Waits; before the first time, says what for.
    async fn next(&mut self, say: impl FnOnce()) {
        let pause = match self.last {
            Some(last) => (last * 2).min(LONGEST_PAUSE),
            None => {
                say();
                FIRST_PAUSE
            }
        };
        self.last = Some(pause);
        sleep(pause.min(self.patience.left())).await;
    }
}

/// How much longer to wait.
pub(super) struct Patience {
    limit: Duration,
    until: Instant,
}

impl Patience {
    /// Begins now.
    pub fn of(config: &Config) -> Self {
        let limit = config.server.wait_for;
        Self { limit, until: Instant::now() + limit }
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Waits until every database lets us in.
    ///
    /// # Errors
    /// At once what waiting does not mend, such as a wrong password; in the end why one cannot be
    /// reached, under the key of its URL. Without patience none: whoever needs it first will say.
    pub async fn databases(&self, config: &Config, backends: &Backends) -> Result<(), StoreError> {
        if self.limit.is_zero() {
            return Ok(());
        }
        for (url, backend) in backends.iter() {
            let key = config.url_key(url);
            self.database(&key, backend)
                .await
                .map_err(|error| error.during(&format!("`{key}`")))?;
        }
        Ok(())
    }

    async fn database(&self, key: &str, backend: &Arc<dyn Backend>) -> Result<(), StoreError> {
        let mut pauses = Pauses { patience: self, last: None };
        let limit = humantime::format_duration(self.limit);
        loop {
            let attempt = async { backend.watch().await?.ping().await };
            let error = match timeout(self.left().max(FIRST_PAUSE), attempt).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if !is_worth_waiting_for(error.kind()) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => StoreError::new(ErrorKind::Unreachable, "it does not answer"),
            };
            if self.left().is_zero() {
                let waited = format_args!("{error} (waited {limit}, server.wait_for)");
                return Err(StoreError::new(error.kind(), waited));
            }
            let say =
                || tracing::info!(%error, "waiting for the database of {key}, for up to {limit}");
            pauses.next(say).await;
        }
    }

    /// Waits until Redis answers, where a strategy uses it. One that does not come is no reason to
    /// fail: its strategies answer from the database.
    pub async fn redis(&self, strategies: &Strategies) {
        let Some(server) = strategies.cache_server() else { return };
        let limit = humantime::format_duration(self.limit);
        let mut pauses = Pauses { patience: self, last: None };
        while !self.left().is_zero() && server.ping(self.left()).await.is_err() {
            let say = || tracing::info!("waiting for Redis (cache.redis_url), for up to {limit}");
            pauses.next(say).await;
        }
    }
}

fn is_worth_waiting_for(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::Saturated)
}
