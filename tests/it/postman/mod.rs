//! The Postman collection: it follows the document, and a real Newman runs it against a real service.

mod collection;
mod newman;

use std::path::Path;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A JSON file of the project.
fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(root().join(path)).expect("it is there");
    serde_json::from_str(&text).expect("it is JSON")
}

/// Every folder and request with the names on the way to it.
fn items(collection: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(items: &'a Value, before: &str, found: &mut Vec<(String, &'a Value)>) {
        for item in items.as_array().into_iter().flatten() {
            let name = format!("{before}/{}", item["name"].as_str().expect("it has a name"));
            found.push((name.clone(), item));
            walk(&item["item"], &name, found);
        }
    }
    let mut found = Vec::new();
    walk(&collection["item"], "", &mut found);
    found
}
