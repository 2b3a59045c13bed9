//! The folder *stress*: the experiment of clients that ask, pause, and ask again.

use serde_json::Value;

use super::build::{self, Listen, Pair, Request};
use super::schema;
use super::Undocumented;

const DESCRIPTION: &str = "The experiment that Poolwise was built for: 20 clients ask direct, pooled and cached in turn \
    for 35 % of the products, each pausing 233 ms between two requests, for a minute.\n\n\
    `scripts/newman.sh --folder stress` runs it in 20 processes and prints a table. In the Postman app run this folder \
    once, with a delay of 233 ms, for one such client: it goes round until `stressSeconds` are over. `stressLimit` = 20 \
    asks for pages of 20 products instead.\n\n\
    20 clients that pause 233 ms cannot send more than 20 / 0.233 = 85.8 requests/s, whatever the service does \
    (`poolwise lab doctor` has the arithmetic). To tell strategies apart use `poolwise lab run case`.";

/// The folder.
///
/// # Errors
/// When the document does not have the endpoints.
pub(super) fn folder(document: &Value) -> Result<Value, Undocumented> {
    let items: Result<Vec<Value>, _> = [
        ("direct", include_str!("scripts/stress_first.js")),
        ("pooled", ""),
        ("cached", include_str!("scripts/stress_again.js")),
    ]
    .into_iter()
    .map(|(name, script)| item(document, name, script))
    .collect();
    Ok(build::folder("stress", DESCRIPTION, items?))
}

fn item(document: &Value, name: &str, script: &str) -> Result<Value, Undocumented> {
    let path = format!("/products/{name}");
    if schema::of_answer(document, ("get", &path, 200)).is_none() {
        return Err(Undocumented { method: "GET".into(), path, status: 200 });
    }
    let request = Request {
        method: "get".into(),
        path,
        query: vec![Pair::new("category", "{{category}}")],
        headers: vec![Pair::new("Accept-Encoding", "identity")],
        ..Request::default()
    };
    let script = format!("{script}{}", include_str!("scripts/stress_limit.js"));
    // No test of the answer: to hand a body of 4 MB to a script takes longer than the request.
    let scripts = [build::script(Listen::Before, &script)];
    Ok(build::item(name, &request, scripts, Vec::new()))
}
