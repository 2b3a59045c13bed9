//! What is legal but unwise.

use super::resolve::{Cache, Database, Server};

/// Combinations that are legal but unwise, each with its arithmetic.
pub(super) fn warnings(server: &Server, database: &Database, cache: &Cache) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(server.cors_origins.warning());
    let bytes = |n: usize| bytesize::ByteSize(n as u64).display().iec().to_string();
    if server.body_budget > 0 && server.body_buffer > server.body_budget {
        found.push(format!(
            "server.body_buffer ({}) is above server.body_budget ({}): no body can reach it",
            bytes(server.body_buffer),
            bytes(server.body_budget)
        ));
    }
    if cache.max_entry > server.body_buffer {
        found.push(format!(
            "cache.max_entry ({}) is above server.body_buffer ({}): larger bodies stream and are never cached",
            bytes(cache.max_entry),
            bytes(server.body_buffer)
        ));
    }
    if cache.memory_size < cache.max_entry {
        found.push(format!(
            "cache.memory_size ({}) is below cache.max_entry ({}): the largest answers never fit",
            bytes(cache.memory_size),
            bytes(cache.max_entry)
        ));
    }
    let waits = database.wait_timeout + database.connect_timeout;
    if waits > server.request_timeout {
        found.push(format!(
            "database.wait_timeout + database.connect_timeout = {} is above server.request_timeout ({}): the request ends first",
            humantime::format_duration(waits),
            humantime::format_duration(server.request_timeout)
        ));
    }
    found
}
