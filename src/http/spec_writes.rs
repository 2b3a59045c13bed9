//! What the OpenAPI document says of writes, orders and categories besides what poem-openapi derives.

use serde_json::{Map, Value, json};

use super::error::PROBLEM_JSON;
use super::spec::{add_headers, parameters_of, tidy};
use super::spec_examples::problem_example;

/// What every request can be answered with.
const ANY: [u16; 8] = [400, 405, 406, 414, 429, 500, 503, 504];

/// The problems of an operation of ours besides [`ANY`]; `None` for other operations.
fn problems(path: &str, method: &str) -> Option<&'static [u16]> {
    Some(match (path, method) {
        ("/products" | "/products/batch" | "/orders", "post") => &[401, 408, 409, 413, 415, 422],
        ("/products/{id}", "put" | "patch") => &[401, 404, 408, 409, 412, 413, 415, 428],
        ("/products/{id}", "delete") => &[401, 404, 412, 428],
        ("/orders", "get") => &[401],
        ("/orders/{id}", "get") => &[401, 404],
        ("/categories", "get") => &[],
        _ => return None,
    })
}

/// Completes an operation; false where it is none of ours.
pub(super) fn complete(path: &str, method: &str, operation: &mut Value) -> bool {
    let Some(problems) = problems(path, method) else { return false };
    let mut parameters: Vec<Value> = parameters_of(operation).map(Value::take).collect();
    for parameter in &mut parameters {
        let what = if path.starts_with("/orders") { "order" } else { "product" };
        parameter["schema"]["minimum"] = 1.into();
        parameter["description"] = format!("The {what}'s number.").into();
        parameter["example"] = 1.into();
        tidy(parameter);
    }
    parameters.extend(more_parameters(path, method));
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    complete_body(path, method, operation);
    let Some(responses) = operation["responses"].as_object_mut() else { return true };
    responses.retain(|status, _| status.starts_with('2'));
    let good: Vec<u16> = responses.keys().filter_map(|status| status.parse().ok()).collect();
    for (_, response) in responses.iter_mut() {
        if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) {
            content.values_mut().for_each(|content| content["example"] = answer(path, method));
        }
    }
    if method == "get" {
        let known = json!({ "description": "Not changed since the answer of this entity tag" });
        responses.insert("304".into(), known);
    }
    for status in ANY.iter().chain(problems) {
        responses.insert(status.to_string(), problem(path, *status));
    }
    let mut sorted: Vec<(String, Value)> = std::mem::take(responses).into_iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    responses.extend(sorted);
    for (status, response) in responses.iter_mut() {
        add_headers(path, status, true, response);
        let made = good.iter().any(|good| good.to_string() == *status);
        let headers = response["headers"].as_object_mut();
        let Some(headers) = headers else { continue };
        for name in
            ["Server-Timing", "X-Cache", "Content-Encoding", "Vary", "Link", "X-Total-Count"]
        {
            headers.shift_remove(name);
        }
        if made && method != "delete" {
            let tag = "Names these bytes: send it back in If-None-Match for a 304 and, of a product, in If-Match to change it.";
            headers.insert("ETag".into(), header(tag, "\"0af7651916cd43dd8448eb211c80319c\""));
        }
        if status == "201" && path != "/products/batch" {
            let place = format!("{path}/60001");
            headers.insert("Location".into(), header("Where it is.", &place));
        }
        if status == "401" {
            headers.insert("WWW-Authenticate".into(), header("What is asked for.", "Bearer"));
        }
    }
    true
}

fn header(description: &str, example: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" }, "example": example })
}

fn more_parameters(path: &str, method: &str) -> Vec<Value> {
    let header = |name: &str, required: bool, description: &str, schema: Value, example: &str| {
        json!({
            "name": name, "in": "header", "required": required, "description": description,
            "schema": schema, "example": example,
        })
    };
    match (path, method) {
        ("/orders", "get") => {
            let whole = |min: u64, max: u64| json!({ "type": "integer", "format": "int64", "minimum": min, "maximum": max });
            vec![
                json!({
                    "name": "limit", "in": "query", "required": false,
                    "description": "At most this many; 20 if absent.", "schema": whole(1, 100),
                    "example": 20,
                }),
                json!({
                    "name": "after", "in": "query", "required": false,
                    "description": "Only orders placed before this one: the last of the page before.",
                    "schema": whole(0, i64::MAX as u64),
                }),
            ]
        }
        (_, "post") => vec![header(
            "Idempotency-Key",
            false,
            "Names this request, so that it can be repeated: a repeat gets the first answer. A new one for each new request; it is kept for `writes.idempotency_keep`.",
            json!({ "type": "string", "pattern": "^[!#-+\\--\\[\\]-~]{1,255}$" }),
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
        )],
        ("/products/{id}", _) => vec![header(
            "If-Match",
            true,
            "The product's `ETag` as you know it, or `*` for any; a list is taken as well.",
            json!({ "type": "string" }),
            "\"0af7651916cd43dd8448eb211c80319c\"",
        )],
        _ => Vec::new(),
    }
}

fn complete_body(path: &str, method: &str, operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    for content in body["content"].as_object_mut().into_iter().flatten().map(|(_, c)| c) {
        let product = json!({
            "sku": "EL0001", "name": "Solar Lamp", "category": "electronics", "price": 12.50, "stock": 3,
        });
        content["example"] = match (path, method) {
            ("/products/batch", _) => {
                content["schema"]["minItems"] = 1.into();
                content["schema"]["maxItems"] = crate::catalogue::MAX_BATCH.into();
                json!([product])
            }
            ("/orders", _) => json!({ "lines": [{ "product_id": 1, "quantity": 2 }] }),
            (_, "patch") => json!({ "price": 11.90, "stock": 7 }),
            _ => product,
        };
    }
}

fn answer(path: &str, method: &str) -> Value {
    let product = json!({
        "id": 60001, "sku": "EL0001", "name": "Solar Lamp", "category": "electronics", "price": 12.50,
        "stock": 3, "created_at": "2026-01-02T03:04:05.678901Z",
        "updated_at": "2026-01-02T03:04:05.678901Z",
    });
    let created_at = "2026-01-02T03:04:05.678901Z";
    match (path, method) {
        ("/products/batch", _) => json!([product]),
        ("/categories", _) => json!([{ "category": "electronics", "products": 21_000 }]),
        ("/orders", "get") => {
            json!([{ "id": 60001, "created_at": created_at, "total": 25.00, "line_count": 1 }])
        }
        ("/orders" | "/orders/{id}", _) => json!({
            "id": 60001, "created_at": created_at, "total": 25.00,
            "lines": [{
                "product_id": 1, "sku": "EL0001", "name": "Solar Lamp", "price": 12.50, "quantity": 2,
            }],
        }),
        _ => product,
    }
}

fn problem(path: &str, status: u16) -> Value {
    let (description, mut example) = described(path, status);
    if let Some((name, title, detail)) = example.take() {
        let document = json!({
            "type": format!("urn:poolwise:problem:{name}"), "title": title, "status": status,
            "detail": detail, "request_id": "5f3c9a0be1d24c77",
        });
        return response(description, document);
    }
    response(description, problem_example(path, &status.to_string()))
}

fn response(description: &str, example: Value) -> Value {
    let content = json!({
        "schema": { "$ref": "#/components/schemas/Problem" }, "example": example,
    });
    let mut types = Map::new();
    types.insert(PROBLEM_JSON.into(), content);
    json!({ "description": description, "content": types })
}

type Example = Option<(&'static str, &'static str, &'static str)>;

/// What a status means, and an example where it has one of its own here.
fn described(path: &str, status: u16) -> (&'static str, Example) {
    match status {
        400 => (
            "A parameter, a header or the body was refused; `errors` names each place",
            Some((
                "bad-body",
                "The body was refused",
                "/price must be a price from 0 to 99999999.99 with at most two decimals, such as 12.50.",
            )),
        ),
        401 => (
            "You are not signed in, or not any more",
            Some(("unauthorized", "You are not signed in", "Sign in at POST /auth/login.")),
        ),
        404 => ("There is none of this number", None),
        405 => ("Only the methods in `Allow` are allowed", None),
        406 => ("`Accept` excludes application/json", None),
        408 => (
            "The body did not come in time",
            Some(("body-timeout", "The body did not come in time", "It was not whole within 30s.")),
        ),
        409 if path == "/orders" => (
            "There is not enough of a product, which `products` names, or the first request of this key is still under way; `type` tells which",
            Some((
                "not-enough",
                "There is not enough of it",
                "Of product 1 there are 3, and 5 were asked for.",
            )),
        ),
        409 => (
            "Another product has this sku, or the first request of this key is still under way; `type` tells which",
            Some(("taken", "Another has this already", "Other products have these skus: EL0001.")),
        ),
        412 => (
            "`If-Match` does not name the product as it is now",
            Some((
                "stale",
                "The product is no longer what you know",
                "If-Match does not name the product as it is now. Read it again, look at what has changed, and repeat with its ETag.",
            )),
        ),
        413 => (
            "The body is larger than `server.max_body_size`",
            Some((
                "body-too-large",
                "The body is too large",
                "The longest body that is read here has 2097152 bytes.",
            )),
        ),
        414 => ("The URL is longer than server.max_url_size", None),
        415 => (
            "The body is not said to be JSON, or is compressed",
            Some((
                "media-type",
                "Only JSON is taken here",
                "Send the body as JSON, with `Content-Type: application/json`, uncompressed.",
            )),
        ),
        422 => (
            "There is no such product, the total is too large, or another request had this `Idempotency-Key`; `type` tells which",
            Some((
                "key-reused",
                "Another request had this Idempotency-Key",
                "Another request had this Idempotency-Key. Take a new key for each new request.",
            )),
        ),
        428 => (
            "`If-Match` is missing",
            Some((
                "if-match-missing",
                "If-Match is missing",
                "Send the ETag of the product as you know it in If-Match, or * for any.",
            )),
        ),
        429 => (
            "This client asked for more than `[rate_limit]` allows; come back after `Retry-After`",
            None,
        ),
        503 => (
            "Saturated, in conflict or starting (come back after `Retry-After`), the database cannot be reached, or it is not known whether it took place; `type` tells which",
            None,
        ),
        504 => ("The database took too long; nothing was written", None),
        _ => ("The service failed; the log has the detail under the request id", None),
    }
}

/// Completes the schemas of bodies that are sent.
pub(super) fn complete_schemas(schemas: &mut Value) {
    for name in ["NewProduct", "ProductPatch", "NewOrder", "NewOrderLine"] {
        let schema = &mut schemas[name];
        schema["additionalProperties"] = false.into();
        if let Some(price) = schema["properties"].get_mut("price") {
            *price = json!({
                "description": price["description"].take(),
                "anyOf": [
                    { "type": "number", "format": "decimal", "minimum": 0, "maximum": 99_999_999.99, "multipleOf": 0.01 },
                    { "type": "string", "pattern": "^[0-9]{1,8}(\\.[0-9]{1,2})?$" },
                ],
            });
        }
    }
    schemas["ProductPatch"]["minProperties"] = 1.into();
}
