//! What the OpenAPI document shows as answers of each endpoint.

use serde_json::{Value, json};

use super::error::PROBLEM_JSON;
use super::sign_in_spec;

/// Puts an example into each answer.
pub(super) fn add_examples(path: &str, status: &str, response: &mut Value) {
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    let Some(content) = content else { return };
    for (media_type, content) in content {
        if media_type.starts_with(PROBLEM_JSON) {
            content["example"] = problem_example(path, status);
        } else if let Some(example) = example(path, status) {
            content["example"] = example;
        }
    }
}

pub(super) fn problem_example(path: &str, status: &str) -> Value {
    let common = match status {
        "400" => (
            "bad-parameter",
            "A parameter was refused",
            "Parameter limit must be a whole number from 1 to 10000.",
        ),
        "401" => ("unauthorized", "You are not signed in", super::error::SIGN_IN),
        "408" => ("body-timeout", "The body did not come in time", "It was not whole within 30s."),
        "413" => (
            "body-too-large",
            "The body is too large",
            "The longest body that is read here has 4096 bytes.",
        ),
        "415" => (
            "media-type",
            "Only JSON is taken here",
            "Send the body as JSON, with `Content-Type: application/json`.",
        ),
        "404" => ("not-found", "There is nothing here", "There is no product 60001."),
        "406" => (
            "not-acceptable",
            "Only JSON is served here",
            "The Accept header excludes application/json, the only thing served here.",
        ),
        "405" => ("method-not-allowed", "This method is not allowed here", "Allowed here: GET."),
        "414" => (
            "url-too-long",
            "The URL is too long",
            "The longest URL that is read here has 8192 bytes.",
        ),
        "429" => (
            "rate-limited",
            "This client asks for too much",
            "No more than 100 requests may come at once from one client. Try again after the time in Retry-After.",
        ),
        "503" => (
            "saturated",
            "All connections are busy",
            "No connection to the database came free in time. Try again after the time in Retry-After.",
        ),
        "504" => (
            "timeout",
            "The database took too long",
            "The answer was not ready in time. Ask for less, for instance with limit.",
        ),
        _ => (
            "internal",
            "The service failed",
            "Something went wrong that you cannot mend. The log has the detail under this request id.",
        ),
    };
    let (name, title, detail) = sign_in_spec::problem(path, status).unwrap_or(common);
    let mut example = json!({
        "type": format!("urn:poolwise:problem:{name}"), "title": title,
        "status": status.parse::<u16>().unwrap_or(500), "detail": detail,
        "request_id": "5f3c9a0be1d24c77",
    });
    if name == "bad-body" {
        example["errors"] =
            json!([{ "pointer": "/password", "reason": "must have 8 to 128 characters" }]);
    } else if status == "400" {
        example["errors"] =
            json!([{ "parameter": "limit", "reason": "must be a whole number from 1 to 10000" }]);
    }
    example
}

fn health_example(status: &str) -> Value {
    let (state, reasons) = match status {
        "503" => ("critical", json!(["The database (database.url) does not answer within 600ms."])),
        _ => ("healthy", json!([])),
    };
    let (database, latency) = match status {
        "503" => ("down", Value::Null),
        _ => ("up", json!(0.412)),
    };
    let since = "2026-01-02T01:00:00.000Z";
    json!({
        "status": state, "timestamp": "2026-01-02T03:04:05.678Z", "since": since,
        "reasons": reasons, "ready": status != "503",
        "checks": {
            "database": {
                "key": "database.url", "status": database, "latency_ms": latency,
                "latency_median_ms": latency, "since": since,
            },
            "other_databases": [],
            "redis": { "status": "up", "latency_ms": 0.121, "since": since },
            "db_pool": {
                "size": 16, "checked_in": 13, "checked_out": 3, "overflow": 0, "total_capacity": 16,
                "utilization_percent": 18.75, "utilization": "normal", "waiting": 0, "fleet": null,
                "strategies": [{
                    "strategy": "pooled", "fixed": true,
                    "size": 8, "checked_in": 5, "checked_out": 3, "overflow": 0, "total_capacity": 8,
                    "utilization_percent": 37.5, "utilization": "normal", "waiting": 0,
                    "wait_p95_ms": 0.05, "waiting_for_seconds": null,
                }],
            },
        },
    })
}

fn example(path: &str, status: &str) -> Option<Value> {
    let product = json!({
        "id": 1, "sku": "EL0001", "name": "Solar Lamp", "category": "electronics", "price": 12.50,
        "stock": 3, "created_at": "2024-01-02T03:04:05.000000Z",
        "updated_at": "2024-02-03T04:05:06.000000Z",
    });
    let strategy = json!({
        "name": "cached", "requests": 1200, "errors": 0, "in_flight": 2, "bytes": 4_654_000_000u64,
        "latency": { "count": 1200, "p50_ms": 4.1, "p95_ms": 9.7, "p99_ms": 14.2 },
        "pool": {
            "size": 8, "in_use": 1, "idle": 7, "waiting": 0,
            "wait": { "count": 60, "p50_ms": 0.02, "p95_ms": 0.05, "p99_ms": 0.4 },
            "connect": { "count": 0, "p50_ms": null, "p95_ms": null, "p99_ms": null },
            "opened": 8, "closed": 0,
        },
        "cache": {
            "hits": 1100, "misses": 60, "coalesced": 40, "bypassed": 0, "faults": 0,
            "hit_rate": 0.917, "entries": 22, "bytes": 86_000_000u64,
        },
    });
    Some(match path {
        "/products/{id}" => product,
        "/strategies" => json!([{
            "path": "/strategies/cached/products",
            "access": { "name": "pool", "options": { "size": "8" } },
            "cache": { "name": "memory", "options": {} },
            "stats": strategy,
        }]),
        "/health" | "/health_check" => health_example(status),
        "/health/live" => json!({ "live": true }),
        "/health/ready" if status == "503" => json!({ "ready": false, "status": "draining" }),
        "/health/ready" => json!({ "ready": true, "status": "ready" }),
        "/stats" => json!({
            "health": "healthy", "sample_age_seconds": 0.412, "uptime_seconds": 86.2,
            "process": {
                "cpu_seconds": 12.61, "cpu_percent": 41.3, "resident_bytes": 41_943_040u64,
                "virtual_bytes": 1_200_000_000u64, "threads": 11,
            },
            "bodies": { "used_bytes": 8_126_464u64, "budget_bytes": 67_108_864u64 },
            "rate_limit": {
                "requests": 100, "per_seconds": 60.0, "burst": 100, "clients": 17, "refused": 240,
            },
            "strategies": [strategy],
            "invalidation": { "queued": 0, "queued_seconds": null, "hears": true, "lost": 0 },
            "database": { "connections": 17, "active": 3, "max_connections": 100 },
            "redis": {
                "used_memory_bytes": 91_226_112u64, "used_memory_peak_bytes": 93_323_264u64,
                "connected_clients": 5,
            },
        }),
        "/metrics" => json!(
            "# HELP poolwise_pool_in_use Connections that serve a request.\n# TYPE poolwise_pool_in_use gauge\npoolwise_pool_in_use{strategy=\"cached\"} 1\n"
        ),
        path if path.contains("products") => json!([product]),
        path => return sign_in_spec::answer(path),
    })
}
