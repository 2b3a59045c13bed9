//! The JSON schema of a configuration file (draft 7, which editors know), for completion and checks while
//! one types. Its keys and types are those that the program reads; its words are those of the manual.
//!
//! It says what may stand in a file. Which values go together is for `poolwise config check`.

use serde_json::{Map, Value, json};

use super::file::File;
use super::manual::{self, Entry};
use super::shape::Shape;

/// A plugin that configuration can name, with the shape of its options.
pub type PluginShape = (&'static str, Shape);

/// The schema, where these access methods and caches are known.
///
/// # Panics
/// When the shape of the configuration cannot be told, which a test rules out.
pub fn schema(access: &[PluginShape], cache: &[PluginShape]) -> Value {
    let manual = manual::entries();
    let Shape::Table(sections) = Shape::of::<File>() else { unreachable!("it is a struct") };
    let mut properties = Map::new();
    for (section, shape) in sections {
        let made = match shape {
            Shape::Table(keys) => table(&keys, |key| of_key(&manual, section, key)),
            _ => strategies(&manual, access, cache),
        };
        properties.insert(section.into(), made);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Poolwise",
        "description": "A configuration of poolwise: everything is optional, and what is absent is as in config/default.toml.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// What the manual has of a key.
fn of_key<'a>(manual: &'a [Entry], section: &str, key: &str) -> Option<&'a Entry> {
    manual.iter().find(|entry| entry.section == section && entry.key == key)
}

fn table<'a>(
    keys: &[(&'static str, Shape)],
    explained: impl Fn(&str) -> Option<&'a Entry>,
) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|(key, shape)| {
            let mut schema = of_shape(shape);
            if let Some(entry) = explained(key) {
                schema["description"] = entry.about.as_str().into();
                let value = serde_json::to_value(&entry.value).unwrap_or_default();
                match entry.is_default {
                    true => schema["default"] = value,
                    false => schema["examples"] = json!([value]),
                }
            }
            ((*key).to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// As humantime reads it.
const DURATION: &str = r"^\s*(0|([0-9]+\s*[a-zA-Zµ]+\s*)+)$";
/// As bytesize reads it.
const SIZE: &str = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP]?[iI]?[bB]?)\s*$";

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Whole(None) => json!({ "type": "integer", "minimum": 0 }),
        Shape::Whole(Some(most)) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Size => json!({ "type": ["string", "integer"], "pattern": SIZE, "minimum": 0 }),
        Shape::OneOf(names) => json!({ "type": "string", "enum": names }),
        Shape::List => json!({ "type": ["array", "string"], "items": { "type": "string" } }),
        Shape::Table(keys) => table(keys, |_| None),
        Shape::Named(inner) => json!({ "type": "object", "additionalProperties": of_shape(inner) }),
        Shape::Anything => json!({}),
    }
}

fn strategies(manual: &[Entry], access: &[PluginShape], cache: &[PluginShape]) -> Value {
    let described = |mut schema: Value, text: &str| {
        schema["description"] = text.into();
        schema
    };
    let properties = json!({
        "access": described(
            plugin("kind", access, |key| of_key(manual, "database", key)),
            "How it gets a connection: the name of an access method, or a table with its kind and its options. What is absent is as in [database].",
        ),
        "cache": described(
            plugin("store", cache, |key| of_key(manual, "cache", key)),
            "Where it keeps answers: the name of a cache, or a table with its store and its options. What is absent is as in [cache].",
        ),
        "database_url": described(
            json!({ "type": "string" }),
            "Another database of the same backend, such as a read replica. It is never seeded from here.",
        ),
    });
    json!({
        "type": "object",
        "description": "A strategy is a way to the data: an access method and a cache. Each answers at /strategies/{name}/products; direct, pooled and cached always exist.",
        "propertyNames": { "pattern": "^[a-z0-9-]{1,32}$" },
        "additionalProperties": {
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
        },
    })
}

/// A plugin's name, or a table with its name and its options.
fn plugin<'a>(
    name_key: &str,
    plugins: &[PluginShape],
    explained: impl Fn(&str) -> Option<&'a Entry>,
) -> Value {
    let names: Vec<&str> = plugins.iter().map(|(name, _)| *name).collect();
    let mut choices = vec![json!({ "type": "string", "enum": names })];
    for (name, options) in plugins {
        let mut schema = match options {
            Shape::Table(keys) => table(keys, |key| explained(key)),
            _ => json!({ "type": "object", "properties": {} }),
        };
        for (_, property) in schema["properties"].as_object_mut().into_iter().flatten() {
            // That of the section holds, whatever it is.
            if let Some(property) = property.as_object_mut() {
                property.shift_remove("default");
            }
        }
        schema["properties"][name_key] = json!({ "const": name });
        schema["required"] = json!([name_key]);
        choices.push(schema);
    }
    json!({ "anyOf": choices })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_key_that_is_read() {
        let Shape::Table(sections) = Shape::of::<File>() else { panic!("it is a table") };
        let manual = manual::entries();
        let mut read = Vec::new();
        for (section, shape) in sections {
            let Shape::Table(keys) = shape else { continue };
            for (key, shape) in keys {
                assert_ne!(shape, Shape::Anything, "{section}.{key}");
                let entry = of_key(&manual, section, key);
                let entry = entry.unwrap_or_else(|| panic!("{section}.{key} is not in the manual"));
                assert!(entry.about.len() > 10, "{section}.{key} is not explained");
                read.push((section.to_owned(), key.to_owned()));
            }
        }
        for entry in &manual {
            let known = read.contains(&(entry.section.clone(), entry.key.clone()));
            assert!(known, "{}.{} is in the manual and not read", entry.section, entry.key);
        }
        assert!(read.len() > 60, "only {} keys", read.len());
    }
}
