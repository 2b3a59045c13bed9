//! The OpenAPI document: what poem-openapi derives from the handlers, completed with what it cannot
//! say, and laid out for people and tools.

use std::collections::HashMap;
use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::error::PROBLEM_JSON;
use super::orders_api::OrdersApi;
use super::products_api::ProductsApi;
use super::sign_in::SignInApi;
use super::spec_examples::add_examples;
use super::{State, parameters, sign_in_spec, spec_writes};

/// The finished document and what is read from it.
pub(super) struct Spec {
    pub json: String,
    /// Path templates with the methods that they answer to.
    paths: Vec<(Vec<String>, String)>,
}

impl Spec {
    /// Completes the document.
    pub fn new() -> Self {
        let document = document();
        let paths = document["paths"].as_object().into_iter().flatten();
        let paths = paths
            .map(|(path, operations)| {
                let methods = operations.as_object().into_iter().flatten();
                let methods: Vec<String> = methods.map(|(m, _)| m.to_uppercase()).collect();
                (path.split('/').map(str::to_owned).collect(), methods.join(", "))
            })
            .collect();
        let json = serde_json::to_string_pretty(&document).expect("a JSON value prints");
        Self { json, paths }
    }

    /// Every path of the API, with `{name}` for what varies.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.paths.iter().map(|(template, _)| template.join("/"))
    }

    /// The methods that a path of the API answers to; `None` for other paths.
    pub fn methods(&self, path: &str) -> Option<&str> {
        let wanted: Vec<&str> = path.split('/').collect();
        let fits = |template: &[String]| {
            template.len() == wanted.len()
                && template.iter().zip(&wanted).all(|(t, w)| t.starts_with('{') || t == w)
        };
        self.paths.iter().find(|(template, _)| fits(template)).map(|(_, methods)| methods.as_str())
    }
}

/// The document as JSON, as it is exported and served.
pub fn openapi_json() -> String {
    Spec::new().json + "\n"
}

/// The document as YAML, as it is exported.
pub fn openapi_yaml() -> String {
    serde_yaml_ng::to_string(&document()).expect("a JSON value prints as YAML")
}

/// The poem-openapi service over `state`, which routes what the spec describes.
pub(super) fn service(state: Arc<State>) -> OpenApiService<Apis, ()> {
    let apis = (
        Api { state: state.clone() },
        ProductsApi { state: state.clone() },
        OrdersApi { state: state.clone() },
        SignInApi { state },
    );
    OpenApiService::new(apis, TITLE, env!("CARGO_PKG_VERSION"))
}

/// Every endpoint. A path must stand in one of them only.
type Apis = (Api, ProductsApi, OrdersApi, SignInApi);

const TITLE: &str = "Poolwise";
const DESCRIPTION: &str = "One query over a table of products, three ways: a connection for each \
    request, a pool, a pool behind a cache. The three give identical bytes.\n\n\
    Errors are problem documents (RFC 9457). Every answer carries `X-Request-Id`; send your own to \
    find your request in the log.";

/// Describes [`Api`] without having one: a description needs no database.
struct Described;

impl OpenApi for Described {
    fn meta() -> Vec<MetaApi> {
        Apis::meta()
    }

    fn register(registry: &mut Registry) {
        Apis::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn derived() -> String {
    OpenApiService::new(Described, TITLE, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT").url("https://spdx.org/licenses/MIT"))
        .spec()
}

fn document() -> Value {
    let mut document: Value = serde_json::from_str(&derived()).expect("poem-openapi writes JSON");
    // By importance, not by name.
    if let Some(tags) = document["tags"].as_array_mut() {
        let order = ["Products", "Orders", "Strategies", "Sign-in", "Observe"];
        tags.sort_by_key(|tag| order.iter().position(|name| tag["name"] == *name));
    }
    document["servers"] = json!([{ "url": "/", "description": "This server" }]);
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            if !spec_writes::complete(path, method, operation) {
                complete(path, operation);
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        // Which poem-openapi does not say of what is sent.
        if sign_in_spec::SENT.contains(&name.as_str()) {
            schema["additionalProperties"] = false.into();
        }
        // A problem leaves out what it has nothing to say of, and so may a client.
        if !["Problem", "ParameterProblem", "ProductPatch"].contains(&&**name) {
            null_what_is_absent(schema);
        }
    }
    spec_writes::complete_schemas(&mut document["components"]["schemas"]);
    document
}

/// What is absent is written as null, which poem-openapi does not say.
fn null_what_is_absent(schema: &mut Value) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let absent = properties.iter_mut().filter(|(name, _)| !required.contains(&json!(name)));
    for (_, property) in absent {
        // Beside a `$ref` nothing else counts (OpenAPI 3.0.3, "Reference Object").
        if property.get("$ref").is_some() {
            *property = json!({ "allOf": [property.take()] });
        }
        property["nullable"] = true.into();
    }
    let all: Vec<Value> = properties.keys().map(|name| name.as_str().into()).collect();
    schema["required"] = all.into();
}

/// Adds parameters, headers and examples to an operation.
fn complete(path: &str, operation: &mut Value) {
    if path.ends_with("/products") || STANDARD.contains(&path) {
        let mut all: Vec<Value> = parameters_of(operation).map(|one| one.take()).collect();
        all.extend(parameters::documented());
        operation["parameters"] = all.into();
    }
    for parameter in parameters_of(operation) {
        let example = match parameter["name"].as_str() {
            Some("id") => {
                parameter["schema"]["minimum"] = 1.into();
                ("The product's number.", json!(1))
            }
            Some("name") => {
                parameter["schema"]["pattern"] = "^[a-z0-9-]{1,32}$".into();
                ("The strategy's name, as in GET /strategies.", json!("pooled"))
            }
            _ => continue,
        };
        parameter["description"] = example.0.into();
        parameter["example"] = example.1;
    }
    let products = path.ends_with("/products") || path.contains("/products/");
    let problems = match sign_in_spec::problems(path) {
        Some(problems) => problems,
        None if products => OF_PRODUCTS,
        None => ANYWHERE,
    };
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.retain(|status, response| {
            problems.contains(&status.as_str()) || !is_problem(response)
        });
    }
    if let Some(example) = sign_in_spec::request(path) {
        // Without the character set that poem-openapi names: JSON has none (RFC 8259, section 11).
        let content = operation["requestBody"]["content"].as_object_mut();
        let body = content.and_then(|types| types.values_mut().next()).map(Value::take);
        let mut body = body.unwrap_or_default();
        body["example"] = example;
        operation["requestBody"]["content"] = json!({ "application/json": body });
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        add_headers(path, status, products, response);
        add_examples(path, status, response);
    }
    if products {
        parameters_of(operation).for_each(tidy);
    }
}

/// Problems of what asks no database.
const ANYWHERE: &[&str] = &["400", "405", "414"];
/// Problems of what gives products.
const OF_PRODUCTS: &[&str] = &["400", "404", "405", "406", "414", "429", "500", "503", "504"];

fn is_problem(response: &Value) -> bool {
    let mut types = response["content"].as_object().into_iter().flatten();
    types.any(|(media_type, _)| media_type.starts_with(PROBLEM_JSON))
}

const STANDARD: [&str; 3] = ["/products/direct", "/products/pooled", "/products/cached"];

/// An operation's parameters. To index what is not there would write a null into the document.
pub(super) fn parameters_of(operation: &mut Value) -> impl Iterator<Item = &mut Value> {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    parameters.into_iter().flatten()
}

/// poem-openapi writes these defaults out.
pub(super) fn tidy(parameter: &mut Value) {
    if let Some(parameter) = parameter.as_object_mut() {
        parameter.retain(|key, value| {
            !matches!(
                (key.as_str(), &*value),
                ("deprecated", Value::Bool(false)) | ("explode", Value::Bool(true))
            )
        });
    }
}

/// Name, the statuses that carry it, whether only answers of products do, text and example.
const HEADERS: [(&str, &[&str], bool, &str, &str); 15] = [
    (
        "X-Request-Id",
        &[],
        false,
        "Names the request in the log; the client's own if it sent one of 1 to 64 letters, digits, `-`, `_` and `.`.",
        "5f3c9a0be1d24c77",
    ),
    (
        "Server-Timing",
        &["200", "304"],
        true,
        "Where the time went, in ms: wait for a connection, connect, execute, cache, total.",
        "wait;dur=0.021, execute;dur=12.406, total;dur=12.530",
    ),
    (
        "X-Cache",
        &["200", "304"],
        true,
        "hit, miss, coalesced (another request was fetching the same) or bypass (the cache was not used). Absent where the strategy has no cache.",
        "hit",
    ),
    (
        "Link",
        &["200", "304"],
        true,
        "The next page, where `limit` was given and this page is full. Absent from an answer that streams.",
        "</products/pooled?limit=20&after=20>; rel=\"next\"",
    ),
    (
        "X-Total-Count",
        &["200", "304"],
        true,
        "How many products there are on all pages, where the request had `Prefer: count=exact`.",
        "21000",
    ),
    (
        "ETag",
        &["200", "304"],
        true,
        "Names these bytes; absent on an answer that streams. Send it back in If-None-Match for a 304.",
        "\"0af7651916cd43dd8448eb211c80319c\"",
    ),
    (
        "Content-Encoding",
        &["200"],
        true,
        "gzip or zstd where the cache keeps the answer compressed; absent otherwise.",
        "gzip",
    ),
    ("Vary", &["200", "304"], true, "On answers of a strategy with a cache.", "accept-encoding"),
    (
        "Retry-After",
        &["429", "503"],
        true,
        "Seconds after which to come back; on a 503 only when saturated or in conflict.",
        "1",
    ),
    (
        "RateLimit-Limit",
        LIMITED,
        true,
        "Requests that may come at once from one client; absent without `[rate_limit]`, as the other two.",
        "100",
    ),
    ("RateLimit-Remaining", LIMITED, true, "Of them, how many this client has left.", "97"),
    (
        "RateLimit-Reset",
        LIMITED,
        true,
        "Seconds until it has all of them again; on a 429, until it has one.",
        "2",
    ),
    ("WWW-Authenticate", &["401"], false, "How to say who you are.", "Bearer"),
    ("Cache-Control", &["200"], true, "On answers with tokens: nobody may keep them.", "no-store"),
    ("Allow", &["405"], false, "The methods that are allowed.", "GET"),
];

/// Everything that can be answered after the client was counted.
const LIMITED: &[&str] = &[
    "200", "201", "204", "304", "400", "401", "404", "405", "406", "408", "409", "412", "413",
    "415", "422", "428", "429", "500", "503", "504",
];

/// Of the headers that not every answer has, those of sign-in.
const OF_SIGN_IN: [&str; 5] =
    ["Cache-Control", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

pub(super) fn add_headers(path: &str, status: &str, products: bool, response: &mut Value) {
    let signs_in = sign_in_spec::problems(path).is_some();
    let mut headers = Map::new();
    for (name, statuses, special, description, example) in HEADERS {
        let here = match OF_SIGN_IN.contains(&name) {
            true if signs_in => true,
            true if name == "Cache-Control" => false,
            _ => products || !special,
        };
        if (statuses.is_empty() || statuses.contains(&status)) && here {
            let header = json!({
                "description": description, "schema": { "type": "string" }, "example": example,
            });
            headers.insert(name.into(), header);
        }
    }
    response["headers"] = headers.into();
}
