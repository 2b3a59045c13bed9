//! The folder *stress*: the experiment of clients that ask, pause, and ask again.

use serde_json::Value;

use super::Undocumented;
use super::build::{self, Pair, Request};
use super::schema;

const DESCRIPTION: &str = "The experiment that Poolwise was built for: 20 clients ask direct, pooled and cached in turn \
    for 35 % of the products, each pausing 233 ms between two requests, for a minute.\n\n\
    `scripts/newman.sh --folder stress` runs it in 20 processes and prints a table. In the Postman app, run this folder \
    with 20 virtual users, or with as many iterations as you like and a delay of 233 ms for one client. Switch on `limit` \
    for pages of 20 products instead.\n\n\
    20 clients that pause 233 ms cannot send more than 20 / 0.233 = 85.8 requests/s, whatever the service does \
    (`poolwise lab doctor` has the arithmetic). To tell strategies apart use `poolwise lab run case`.\n\n\
    These requests have no scripts: to start one and to hand it 4 MB takes longer than many an answer.";

/// The folder.
///
/// # Errors
/// When the document does not have the endpoints.
pub(super) fn folder(document: &Value) -> Result<Value, Undocumented> {
    let names = ["direct", "pooled", "cached"];
    let items: Result<Vec<Value>, _> = names.into_iter().map(|name| item(document, name)).collect();
    Ok(build::folder("stress", DESCRIPTION, items?))
}

fn item(document: &Value, name: &str) -> Result<Value, Undocumented> {
    let path = format!("/products/{name}");
    if schema::of_answer(document, ("get", &path, 200)).is_none() {
        return Err(Undocumented { method: "GET".into(), path, status: 200 });
    }
    let limit = Pair { disabled: true, ..Pair::new("limit", "20") };
    let request = Request {
        method: "get".into(),
        path,
        query: vec![Pair::new("category", "{{category}}"), limit],
        headers: vec![Pair::new("Accept-Encoding", "identity")],
        ..Request::default()
    };
    Ok(build::item(name, &request, [], Vec::new()))
}
