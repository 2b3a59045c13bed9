//! A folder for each tag of the document, with a request for each operation.

use serde_json::{Value, json};

use super::build::{self, Listen, Pair, Request};

/// A folder for each tag, in the document's order.
pub(super) fn folders(document: &Value) -> Vec<Value> {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.map(|tag| {
        let name = tag["name"].as_str().unwrap_or_default();
        let items = operations(document).filter(|(_, _, operation)| operation["tags"][0] == name);
        let items = items.map(|(path, method, operation)| item(path, method, operation)).collect();
        build::folder(name, tag["description"].as_str().unwrap_or_default(), items)
    })
    .collect()
}

/// Every path, method and operation.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn item(path: &str, method: &str, operation: &Value) -> Value {
    let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        signed_in: operation.get("security").is_some(),
        description: text("description"),
        body: body(operation),
        ..Request::default()
    };
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let pair = pair(path, parameter);
        match parameter["in"].as_str() {
            Some("path") => request.variables.push(pair),
            Some("query") => request.query.push(pair),
            _ => request.headers.push(pair),
        }
    }
    let keeps = build::script(Listen::After, keeps(&text("operationId")));
    let examples = examples(operation, &request);
    build::item(&text("summary"), &request, [keeps], examples)
}

/// A parameter with the document's example, or with what an earlier answer said. Without either it
/// is there to be switched on.
fn pair(path: &str, parameter: &Value) -> Pair {
    let name = parameter["name"].as_str().unwrap_or_default();
    let example = match &parameter["example"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let of_orders = path.starts_with("/orders");
    let value = match (name, parameter["in"].as_str()) {
        ("id", Some("path")) if of_orders => Some("{{orderId}}".to_owned()),
        ("id", Some("path")) => Some("{{productId}}".to_owned()),
        ("If-Match", _) => Some("{{etag}}".to_owned()),
        ("Idempotency-Key", _) => Some("{{$guid}}".to_owned()),
        _ => example,
    };
    Pair {
        key: name.to_owned(),
        disabled: value.is_none(),
        value: value.unwrap_or_default(),
        description: parameter["description"].as_str().unwrap_or_default().to_owned(),
    }
}

fn body(operation: &Value) -> Option<String> {
    let content = operation["requestBody"]["content"].as_object()?;
    let mut example = content.values().next()?["example"].clone();
    // The one in the document was used long ago.
    if let Some(token) = example.get_mut("refresh_token") {
        *token = "{{refreshToken}}".into();
    }
    Some(pretty(&example))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value prints")
}

/// What an answer says that later requests send.
fn keeps(operation: &str) -> &'static str {
    match operation {
        "login" | "refresh" => include_str!("scripts/keep_tokens.js"),
        "create_product" | "get_product" => include_str!("scripts/keep_product.js"),
        "place_order" => include_str!("scripts/keep_order.js"),
        _ => "",
    }
}

/// The document's examples of what goes well.
fn examples(operation: &Value, request: &Request) -> Vec<Value> {
    let answers = operation["responses"].as_object().into_iter().flatten();
    let good = answers.filter(|(status, _)| status.starts_with('2'));
    good.map(|(status, answer)| {
        let content = answer["content"].as_object().and_then(|content| content.iter().next());
        let header = content.map(|(media_type, _)| {
            json!({ "key": "Content-Type", "value": media_type.split(';').next() })
        });
        let example = content.and_then(|(_, content)| content.get("example"));
        json!({
            "name": answer["description"],
            "originalRequest": request.json(),
            "status": reason(status),
            "code": status.parse::<u16>().unwrap_or_default(),
            "_postman_previewlanguage": "json",
            "header": Vec::from_iter(header),
            "cookie": [],
            "body": example.map(pretty).unwrap_or_default(),
        })
    })
    .collect()
}

fn reason(status: &str) -> Option<&'static str> {
    let status = poem::http::StatusCode::from_bytes(status.as_bytes()).ok()?;
    status.canonical_reason()
}
