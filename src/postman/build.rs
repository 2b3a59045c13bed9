//! The pieces of a collection (format v2.1.0): folders, requests, scripts, and ids.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The id of what has this name: always the same (RFC 9562, section 5.5).
pub(super) fn id(name: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:poolwise:postman:{name}").as_bytes())
        .to_string()
}

/// Gives each folder and request an id, after the names on the way to it.
pub(super) fn name_all(items: &mut [Value], parent: &str) {
    for item in items {
        let path = format!("{parent}/{}", item["name"].as_str().unwrap_or_default());
        if let Some(item) = item.as_object_mut() {
            item.shift_insert(1.min(item.len()), "id".into(), id(&path).into());
        }
        if let Some(inner) = item.get_mut("item").and_then(Value::as_array_mut) {
            name_all(inner, &path);
        }
    }
}

pub(super) fn folder(name: &str, description: &str, items: Vec<Value>) -> Value {
    json!({ "name": name, "description": description, "item": items })
}

/// When a script runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listen {
    /// Before the request.
    Before,
    /// With its answer.
    After,
}

/// A script of this text, without the empty lines around it; nothing when there is none.
pub(super) fn script(listen: Listen, text: &str) -> Option<Value> {
    let text = text.trim_matches('\n');
    let listen = match listen {
        Listen::Before => "prerequest",
        Listen::After => "test",
    };
    let lines: Vec<&str> = text.lines().collect();
    (!text.is_empty()).then(
        || json!({ "listen": listen, "script": { "type": "text/javascript", "exec": lines } }),
    )
}

/// A name with its value: of a header, of the query, or of the path.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub key: String,
    pub value: String,
    pub description: String,
    /// Whether it is there only to be switched on.
    pub disabled: bool,
}

impl Pair {
    pub fn new(key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: value.to_owned(),
            description: String::new(),
            disabled: false,
        }
    }

    fn json(&self) -> Value {
        let mut pair = Map::from_iter([
            ("key".to_owned(), Value::from(&*self.key)),
            ("value".to_owned(), Value::from(&*self.value)),
        ]);
        if !self.description.is_empty() {
            pair.insert("description".into(), (&*self.description).into());
        }
        if self.disabled {
            pair.insert("disabled".into(), true.into());
        }
        pair.into()
    }
}

/// A request to be written down.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub method: String,
    /// As the document has it, with `{name}` for what varies.
    pub path: String,
    pub variables: Vec<Pair>,
    pub query: Vec<Pair>,
    pub headers: Vec<Pair>,
    /// A body of JSON; variables of Postman may stand in it.
    pub body: Option<String>,
    pub signed_in: bool,
    pub description: String,
}

impl Request {
    pub fn json(&self) -> Value {
        let mut request = Map::new();
        request.insert("method".into(), self.method.to_uppercase().into());
        if self.signed_in {
            let token = json!({ "key": "token", "value": "{{accessToken}}", "type": "string" });
            request.insert("auth".into(), json!({ "type": "bearer", "bearer": [token] }));
        }
        let mut headers = self.headers.clone();
        if self.body.is_some() && !headers.iter().any(|header| header.key == "Content-Type") {
            headers.insert(0, Pair::new("Content-Type", "application/json"));
        }
        let headers: Vec<Value> = headers.iter().map(Pair::json).collect();
        request.insert("header".into(), headers.into());
        if let Some(body) = &self.body {
            let options = json!({ "raw": { "language": "json" } });
            request
                .insert("body".into(), json!({ "mode": "raw", "raw": body, "options": options }));
        }
        request.insert("url".into(), self.url());
        if !self.description.is_empty() {
            request.insert("description".into(), (&*self.description).into());
        }
        request.into()
    }

    fn url(&self) -> Value {
        let segment = |segment: &str| match segment.strip_prefix('{') {
            Some(name) if name.ends_with('}') && !name.starts_with('{') => {
                format!(":{}", name.trim_end_matches('}'))
            }
            _ => segment.to_owned(),
        };
        let path: Vec<String> = self.path.trim_start_matches('/').split('/').map(segment).collect();
        let sent = self.query.iter().filter(|pair| !pair.disabled);
        let sent: Vec<String> = sent.map(|p| format!("{}={}", p.key, p.value)).collect();
        let sign = if sent.is_empty() { "" } else { "?" };
        let raw = format!("{{{{baseUrl}}}}/{}{sign}{}", path.join("/"), sent.join("&"));
        let mut url = json!({ "raw": raw, "host": ["{{baseUrl}}"], "path": path });
        for (key, pairs) in [("query", &self.query), ("variable", &self.variables)] {
            if !pairs.is_empty() {
                url[key] = pairs.iter().map(Pair::json).collect();
            }
        }
        url
    }
}

/// A request with its scripts and examples of its answers.
pub(super) fn item(
    name: &str,
    request: &Request,
    scripts: impl IntoIterator<Item = Option<Value>>,
    examples: Vec<Value>,
) -> Value {
    let mut item = json!({ "name": name });
    let scripts: Vec<Value> = scripts.into_iter().flatten().collect();
    if !scripts.is_empty() {
        item["event"] = scripts.into();
    }
    item["request"] = request.json();
    item["response"] = examples.into();
    item
}
