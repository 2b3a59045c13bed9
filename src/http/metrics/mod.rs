//! `GET /metrics`: the registry, the sampler and the state of health, printed for Prometheus.
//!
//! A request for it asks neither database nor Redis nor a pool, so it is answered when all of them hang.
//! docs/METRICS.md has every name, and a test compares the two.

mod health;
mod http;
mod paths;
mod process;
mod strategies;
mod text;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text::encode_registry};
use prometheus_client::registry::Registry;

pub(super) use paths::Paths;
use text::Text;

use super::State;

/// Everything, as it is now.
pub(super) fn metrics(state: Arc<State>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Service(state)));
    let mut text = String::with_capacity(64 << 10);
    encode_registry(&mut text, &registry).expect("writing to a String cannot fail");
    text
}

struct Service(Arc<State>);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

impl Collector for Service {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (state, mut text) = (&*self.0, Text::new(encoder));
        http::write(&mut text, state)?;
        process::write(&mut text, state)?;
        strategies::write(&mut text, state)?;
        health::write(&mut text, state)
    }
}
