//! What stands in the collection and its environments.

use std::collections::BTreeSet;

use poolwise::postman::files;
use serde_json::{Value, json};

use super::{items, read};
use crate::command::outcome;
use crate::harness::{folder, unique};

const COLLECTION: &str = "postman/poolwise.postman_collection.json";

#[test]
fn the_exported_files_are_up_to_date_and_an_edit_is_found() {
    let (code, out, error) = outcome(&["postman", "--check"]);
    assert_eq!((code, &*error), (0, ""));
    assert!(out.contains("up to date"), "{out}");
    let place = folder().join(unique("postman"));
    let out = place.to_str().expect("it is UTF-8");
    let (code, _, error) = outcome(&["postman", "--check", "--out", out]);
    assert!(code == 1 && error.contains("cannot be read") && error.contains(out), "{error}");
    let (code, said, error) = outcome(&["postman", "--out", out]);
    assert_eq!((code, &*error, said.lines().count()), (0, "", 3));
    for name in said.lines() {
        let file = std::path::Path::new(name).file_name().expect("a file");
        let ours = format!("postman/{}", file.to_string_lossy());
        assert_eq!(std::fs::read_to_string(name).unwrap(), std::fs::read_to_string(ours).unwrap());
    }
    let edited = place.join("local.postman_environment.json");
    let text = std::fs::read_to_string(&edited).unwrap().replace("8080", "8081");
    std::fs::write(&edited, text).unwrap();
    let (code, _, error) = outcome(&["postman", "--check", "--out", out]);
    assert_eq!(code, 1);
    assert!(error.contains("local.postman_environment.json differs"), "{error}");
    assert!(error.contains(&format!("`poolwise postman --out {out}`")), "{error}");
}

#[test]
fn every_operation_is_a_request_of_its_tags_folder() {
    let document = read("openapi/openapi.json");
    let collection = read(COLLECTION);
    let all = items(&collection);
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let tag = operation["tags"][0].as_str().unwrap();
            let name = format!("/{tag}/{}", operation["summary"].as_str().unwrap());
            let found: Vec<_> = all.iter().filter(|(known, _)| *known == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            let request = &found[0].1["request"];
            assert_eq!(request["method"], method.to_uppercase(), "{name}");
            let raw = request["url"]["raw"].as_str().unwrap();
            let expected: Vec<String> =
                path.split('/').map(|s| s.replace('{', ":").replace('}', "")).collect();
            let expected = format!("{{{{baseUrl}}}}{}", expected.join("/"));
            assert_eq!(raw.split('?').next(), Some(&*expected), "{name}");
            let parameters = operation["parameters"].as_array().map_or(0, Vec::len);
            let places =
                [&request["url"]["query"], &request["url"]["variable"], &request["header"]];
            let written: usize = places.iter().map(|one| one.as_array().map_or(0, Vec::len)).sum();
            let has_body = usize::from(operation.get("requestBody").is_some());
            assert_eq!(written, parameters + has_body, "{name}");
            assert_eq!(request.get("body").is_some(), has_body == 1, "{name}");
            assert_eq!(
                request.get("auth").is_some(),
                operation.get("security").is_some(),
                "{name}"
            );
        }
    }
    assert!(operations > 20, "only {operations}");
}

#[test]
fn names_and_ids_tell_items_apart_and_stay_as_they_are() {
    let collection = read(COLLECTION);
    let all = items(&collection);
    let names: BTreeSet<&String> = all.iter().map(|(name, _)| name).collect();
    let ids: BTreeSet<&str> = all.iter().map(|(_, item)| item["id"].as_str().unwrap()).collect();
    assert_eq!((names.len(), ids.len()), (all.len(), all.len()));
    let direct = all.iter().find(|(name, _)| name == "/stress/direct").expect("it is there");
    assert_eq!(direct.1["id"], "5d54fc73-7dbb-5f82-9702-6428ed60b958");
}

#[test]
fn every_request_of_the_contract_has_tests() {
    let collection = read(COLLECTION);
    let mut requests = 0;
    for (name, item) in items(&collection) {
        if !name.starts_with("/contract/") || item.get("request").is_none() {
            continue;
        }
        requests += 1;
        let events = item["event"].as_array().expect("it has scripts");
        let test = events.iter().find(|event| event["listen"] == "test").expect("it has tests");
        let script = test["script"]["exec"].to_string();
        assert!(script.contains("pm.response.to.have.status("), "{name}");
        assert!(
            script.contains("jsonSchema(schema)") || script.contains("there is no body"),
            "{name}"
        );
        let identity = json!({ "key": "Accept-Encoding", "value": "identity" });
        assert!(item["request"]["header"].as_array().unwrap().contains(&identity), "{name}");
    }
    assert!(requests > 45, "only {requests}");
}

#[test]
fn every_variable_that_is_used_is_known() {
    let collection = read(COLLECTION);
    let text = std::fs::read_to_string(super::root().join(COLLECTION)).unwrap();
    let known = collection["variable"].as_array().unwrap().iter();
    let mut known: BTreeSet<String> =
        known.map(|variable| variable["key"].as_str().unwrap().to_owned()).collect();
    let set = text.split("collectionVariables.set(\\\"").skip(1);
    known.extend(set.map(|rest| rest.split('\\').next().unwrap().to_owned()));
    let used: BTreeSet<&str> =
        text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).collect();
    assert!(used.len() > 10, "{used:?}");
    for name in used.iter().filter(|name| !name.starts_with('$')) {
        assert!(known.contains(*name), "{name} is used and never set");
    }
    for environment in ["local", "compose"] {
        let file = read(&format!("postman/{environment}.postman_environment.json"));
        for value in file["values"].as_array().unwrap() {
            assert!(known.contains(value["key"].as_str().unwrap()), "{value}");
        }
    }
}

#[test]
fn what_the_document_does_not_have_cannot_be_tested() {
    let whole = read("openapi/openapi.json");
    assert!(files(&whole).is_ok());
    let without = |path: &str, method: &str, status: Option<&str>| -> String {
        let mut document: Value = whole.clone();
        let operation = &mut document["paths"][path];
        let place = match status {
            Some(_) => &mut operation[method]["responses"],
            None => operation,
        };
        place.as_object_mut().unwrap().remove(status.unwrap_or(method)).expect("it was there");
        files(&document).expect_err("it is tested").to_string()
    };
    assert_eq!(
        without("/orders", "post", Some("409")),
        "the OpenAPI document has no POST /orders that answers 409"
    );
    assert!(without("/products/cached", "get", None).contains("GET /products/cached"));
}
