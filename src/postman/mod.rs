//! The Postman collection and its environments, made from the OpenAPI document: a folder for each tag with
//! every operation, a folder *contract* that tests what the service promises, and a folder *stress* with
//! the experiment of 20 clients.
//!
//! Knows the document and Postman's format (collection v2.1.0), and nothing of the service. The same
//! document gives the same bytes.

mod build;
mod contract;
mod environment;
mod operations;
mod schema;
mod steps;
mod stress;

use serde_json::{Value, json};

/// A file to be written.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub text: String,
}

/// Why no collection can be made: it tests what the document does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the OpenAPI document has no {method} {path} that answers {status}")]
pub struct Undocumented {
    method: String,
    path: String,
    status: u16,
}

/// The collection and the environments for this OpenAPI document.
///
/// # Errors
/// When the folder *contract* asks for what the document does not say.
pub fn files(document: &Value) -> Result<Vec<File>, Undocumented> {
    let collection = collection(document)?;
    let [local, compose] = environment::both();
    Ok(vec![
        File { name: "poolwise.postman_collection.json", text: text(&collection) },
        File { name: "local.postman_environment.json", text: text(&local) },
        File { name: "compose.postman_environment.json", text: text(&compose) },
    ])
}

fn text(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value prints") + "\n"
}

const DESCRIPTION: &str = "One query over a table of products, three ways: a connection for each request, a pool, \
    a pool behind a cache.\n\n\
    The first folders hold every endpoint, as the OpenAPI document describes it. To write, send *Become a user* and \
    *Sign in* of the folder *Sign-in*: the token is kept in the variable `accessToken`. What *Make a product* made, \
    or *One product* read, is kept in `productId` and `etag`, and is what is changed next.\n\n\
    *contract* tests what the service promises; run the whole folder. *stress* is the experiment of 20 clients that \
    pause 233 ms: `scripts/newman.sh --folder stress` runs it in as many processes.\n\n\
    This file is made by `poolwise postman`: change the code, not the file.";

fn collection(document: &Value) -> Result<Value, Undocumented> {
    let mut folders = operations::folders(document);
    folders.push(contract::folder(document)?);
    folders.push(stress::folder(document)?);
    build::name_all(&mut folders, "collection");
    let variables = [
        ("baseUrl", "http://127.0.0.1:8080", "Where the service is."),
        ("accessToken", "", "Set by Sign in and New tokens."),
        ("refreshToken", "", "Set by Sign in and New tokens; it holds once."),
        ("productId", "1", "Set by Make a product and One product."),
        ("orderId", "1", "Set by Place an order."),
        ("etag", "*", "Set by Make a product and One product. `*`: the product as it is."),
        ("category", "electronics", "What contract and stress ask for: 35 % of the products."),
        ("matchingRows", "21000", "How many products that is: 7 of every 20. 21,000 of 60,000."),
    ];
    let variables = variables.map(|(key, value, description)| {
        json!({ "key": key, "value": value, "type": "string", "description": description })
    });
    Ok(json!({
        "info": {
            "_postman_id": build::id("collection"),
            "name": "Poolwise",
            "description": DESCRIPTION,
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "item": folders,
        "auth": { "type": "noauth" },
        "variable": variables,
    }))
}
