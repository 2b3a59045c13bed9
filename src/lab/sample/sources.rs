//! Says where each figure comes from, and what is not visible from here.

use super::{Database, Redis, Sampler, Server, Watch, port, restarts};
use crate::config::DatabaseUrl;
use crate::lab::record::{Source, Sources};

const SHARED_NETWORK: &str = "network bytes: it shares its network with other processes";

impl Sampler {
    /// Where the figures come from, as it is now: a server that restarted or was not reached at first
    /// changes it, so ask again when the run ends.
    pub fn sources(&self) -> Sources {
        Sources {
            api: self.api_source(),
            database: self.database_source(),
            redis: self.redis_source(),
            driver: Source::Seen {
                usage: Some(self.driver.source().to_owned()),
                counters: None,
                not_visible: vec![SHARED_NETWORK.into()],
                shares_cores: None,
            },
        }
    }

    fn api_source(&self) -> Source {
        let mut not_visible = Vec::new();
        let port = port(&self.watch.base);
        let here = self.api.map_or("self".to_owned(), |id| id.pid.to_string());
        let connections = match self.watch.service_pid.is_some() || self.watch.base.is_loopback() {
            true => self.roots.connections(here, port),
            false => None,
        };
        if connections.is_none() {
            not_visible.push(format!("connections: nobody is seen to listen on port {port}"));
        }
        let usage = match (self.watch.service_pid, self.api) {
            (Some(_), Some(id)) => {
                if !self.roots.has_own_network(id.pid) {
                    not_visible.push(SHARED_NETWORK.into());
                }
                Some(format!("process {}: CPU time, resident memory", id.pid))
            }
            (Some(pid), None) => {
                not_visible.push(format!("CPU and memory: process {pid} has ended"));
                None
            }
            (None, _) if self.view.is_some() => {
                not_visible.push("network bytes and the limit of memory: it does not say".into());
                Some("as the service reports at /stats".to_owned())
            }
            (None, _) => {
                not_visible.push("CPU and memory: GET /stats was not answered".into());
                None
            }
        };
        not_visible.extend(restarts(self.service.restarts));
        let mut counters: Vec<String> = Vec::new();
        if connections.is_some() {
            counters
                .push(format!("established TCP connections of port {port}, without the lab's own"));
        }
        if self.view.is_some() {
            counters.push("pools and caches as the service reports at /stats".to_owned());
        }
        Source::Seen {
            usage,
            counters: (!counters.is_empty()).then(|| counters.join("; ")),
            not_visible,
            shares_cores: self.api.and_then(|id| self.roots.shares_cores(id.pid)),
        }
    }

    fn database_source(&self) -> Source {
        let mut source = describe(
            &self.database,
            Database::source,
            |service_sees| {
                service_sees.view.as_ref()?.database_connections?;
                Some("connections as the service reports at /stats".to_owned())
            },
            self,
        );
        if let Source::Seen { not_visible, .. } = &mut source {
            for url in database_urls(&self.watch).into_iter().skip(1) {
                not_visible.push(format!("the other database that strategies ask, {url}"));
            }
        }
        source
    }

    fn redis_source(&self) -> Source {
        describe(
            &self.redis,
            Redis::source,
            |service_sees| {
                service_sees.view.as_ref()?.redis_connections?;
                Some("connections and used_memory as the service reports at /stats".to_owned())
            },
            self,
        )
    }
}

fn describe<S>(
    server: &Server<S>,
    watched: impl Fn(&S) -> Source,
    as_the_service_sees: impl Fn(&Sampler) -> Option<String>,
    sampler: &Sampler,
) -> Source {
    let unseen = |counters: Option<String>, why: String| Source::Seen {
        usage: None,
        counters,
        not_visible: vec![why],
        shares_cores: None,
    };
    match server {
        Server::Absent(why) => Source::Absent { why: why.clone() },
        Server::Unknown(why) => unseen(None, format!("everything: {why}")),
        Server::AsTheServiceSees => unseen(
            as_the_service_sees(sampler),
            "CPU and memory: where the server is stands in the service's configuration, which the \
             lab has only when it starts the service itself"
                .to_owned(),
        ),
        Server::Watched(server) => watched(server),
    }
}

/// The databases that the driven strategies ask, each once.
pub(super) fn database_urls(watch: &Watch) -> Vec<&DatabaseUrl> {
    let mut found: Vec<&DatabaseUrl> = Vec::new();
    let Some(config) = &watch.config else { return found };
    for strategy in &watch.strategies {
        let strategy = config.strategy(&strategy.name);
        let url = strategy.map_or(&config.database.url, |strategy| &strategy.database_url);
        if !found.contains(&url) {
            found.push(url);
        }
    }
    found
}
