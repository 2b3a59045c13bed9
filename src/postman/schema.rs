//! JSON schemas of answers, as Postman's sandbox takes them: JSON Schema draft 7 without references,
//! made of the OpenAPI document's schemas (OpenAPI 3.0.3, "Schema Object").

use serde_json::{Map, Value, json};

/// The media type and the schema of an answer; `None` where the document does not have such an answer, and no
/// media type where it has no body.
pub(super) fn of_answer(
    document: &Value,
    (method, path, status): (&str, &str, u16),
) -> Option<Option<(String, Value)>> {
    let answer = &document["paths"][path][method]["responses"][status.to_string()];
    if !answer.is_object() {
        return None;
    }
    let content = answer["content"].as_object().and_then(|content| content.iter().next());
    Some(content.map(|(media_type, content)| {
        let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
        (media_type, plain(document, &content["schema"]))
    }))
}

/// What annotates and what only OpenAPI knows.
const LEFT_OUT: [&str; 8] =
    ["title", "description", "example", "format", "nullable", "default", "deprecated", "readOnly"];

/// A schema in full, without references.
fn plain(document: &Value, schema: &Value) -> Value {
    let Some(schema) = schema.as_object() else { return json!({}) };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let at = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        return plain(document, at);
    }
    let mut made = Map::new();
    for (key, value) in schema.iter().filter(|(key, _)| !LEFT_OUT.contains(&key.as_str())) {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let each =
                    properties.iter().map(|(name, one)| (name.clone(), plain(document, one)));
                each.collect::<Map<_, _>>().into()
            }
            ("items" | "additionalProperties", Value::Object(_)) => plain(document, value),
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                all.iter().map(|one| plain(document, one)).collect()
            }
            _ => value.clone(),
        };
        made.insert(key.clone(), value);
    }
    unwrap_all_of(&mut made);
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        return json!({ "anyOf": [made, { "type": "null" }] });
    }
    made.into()
}

/// `allOf` of one schema and of annotations is that schema.
fn unwrap_all_of(schema: &mut Map<String, Value>) {
    let Some(Value::Array(all)) = schema.get_mut("allOf") else { return };
    all.retain(|one| one.as_object().is_none_or(|one| !one.is_empty()));
    if schema.len() == 1
        && let Some(Value::Array(all)) = schema.get_mut("allOf")
        && let [Value::Object(only)] = all.as_mut_slice()
    {
        *schema = std::mem::take(only);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_followed_and_null_is_a_type() {
        let document = json!({
            "components": { "schemas": {
                "Price": { "type": "number", "format": "double", "description": "A price." },
                "State": { "type": "string", "enum": ["up", "down"] },
            } },
            "paths": { "/prices": { "get": { "responses": { "204": {}, "200": { "content": {
                "application/json; charset=utf-8": { "schema": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["now", "before"],
                        "properties": {
                            "now": { "$ref": "#/components/schemas/Price" },
                            "before": { "allOf": [
                                { "$ref": "#/components/schemas/State" }, { "description": "Then." },
                            ], "nullable": true },
                        },
                    },
                } },
            } } } } } },
        });
        let (media_type, schema) =
            of_answer(&document, ("get", "/prices", 200)).expect("it is there").expect("a body");
        assert_eq!(media_type, "application/json");
        let expected = json!({
            "type": "array",
            "items": {
                "type": "object",
                "required": ["now", "before"],
                "properties": {
                    "now": { "type": "number" },
                    "before": { "anyOf": [
                        { "type": "string", "enum": ["up", "down"] }, { "type": "null" },
                    ] },
                },
            },
        });
        assert_eq!(schema, expected);
        assert_eq!(of_answer(&document, ("get", "/prices", 204)), Some(None));
        assert_eq!(of_answer(&document, ("get", "/prices", 404)), None);
        assert_eq!(of_answer(&document, ("put", "/prices", 200)), None);
    }
}
