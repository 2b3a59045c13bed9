//! What of an edit can take effect while the service runs, and what has to wait for a restart.

use super::resolve::Config;

impl Config {
    /// Whether an edit has changed nothing, in what was written or in the files that it names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.merged == other.merged
            && self.database == other.database
            && self.cache == other.cache
            && self.auth == other.auth
    }

    /// This configuration as far as it can take effect beside `running`, and the keys that keep the
    /// value they have in `running` until a restart.
    pub fn beside(mut self, running: &Config) -> (Self, Vec<&'static str>) {
        let mut waiting = Vec::new();
        if self.database.backend != running.database.backend {
            waiting.push("database.backend");
            // Their URLs and options are of that backend.
            self.database = running.database.clone();
            self.strategies = running.strategies.clone();
            self.writes.strategy = running.writes.strategy.clone();
        }
        // Whether the default data set is made follows from the URL where nothing is said.
        if self.database.url != running.database.url {
            self.seed.auto = running.seed.auto;
        }
        /// Keeps the running value of each key.
        macro_rules! keep {
            ($($section:ident.$key:ident),* $(,)?) => {$(
                if self.$section.$key != running.$section.$key {
                    waiting.push(concat!(stringify!($section), ".", stringify!($key)));
                    self.$section.$key = running.$section.$key.clone();
                }
            )*};
        }
        keep!(
            server.listen,
            server.max_connections,
            server.body_budget,
            server.reports,
            log.format,
            seed.auto,
            seed.rows,
            seed.seed,
        );
        (self, waiting)
    }
}
