//! The environments: where the service is, and how much it holds.

use serde_json::{Value, json};

use super::build::id;

/// For a service that was started by hand, and for the one that `docker compose up` brings.
pub(super) fn both() -> [Value; 2] {
    [
        environment("Poolwise, local", "http://127.0.0.1:8080"),
        environment("Poolwise, Compose", "http://localhost:8080"),
    ]
}

fn environment(name: &str, url: &str) -> Value {
    let value = |(key, value): (&str, &str)| json!({ "key": key, "value": value, "type": "default", "enabled": true });
    let values = [("baseUrl", url), ("category", "electronics"), ("matchingRows", "21000")];
    json!({
        "id": id(name),
        "name": name,
        "values": values.map(value),
        "_postman_variable_scope": "environment",
    })
}
