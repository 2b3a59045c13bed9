//! The configuration in force as text that anybody may see.

use config::{Map, Value, ValueKind};

use super::Config;
use super::url::DatabaseUrl;

impl Config {
    /// Everything in force as TOML, without passwords.
    pub fn dump(&self) -> String {
        let mut root = to_toml(&self.merged.0);
        for (section, key) in [("database", "url"), ("cache", "redis_url")] {
            mask(&mut root, &[section, key], |url| DatabaseUrl::new(url).to_string());
        }
        mask(&mut root, &["database", "password"], |_| "***".into());
        mask(&mut root, &["auth", "signing_key"], |_| "***".into());
        for strategy in &self.strategies {
            mask(&mut root, &["strategies", &strategy.name, "database_url"], |url| {
                DatabaseUrl::new(url).to_string()
            });
        }
        toml::to_string(&root).expect("a table of plain values is TOML")
    }
}

fn mask(table: &mut toml::Table, path: &[&str], hide: impl Fn(&str) -> String) {
    let [parents @ .., key] = path else { return };
    let mut at = table;
    for parent in parents {
        match at.get_mut(*parent) {
            Some(toml::Value::Table(inner)) => at = inner,
            _ => return,
        }
    }
    if let Some(value) = at.get_mut(*key) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *value = hide(&text).into();
    }
}

fn to_toml(table: &Map<String, Value>) -> toml::Table {
    table.iter().filter_map(|(key, v)| Some((key.clone(), to_value(v)?))).collect()
}

fn to_value(value: &Value) -> Option<toml::Value> {
    Some(match &value.kind {
        ValueKind::Table(table) => to_toml(table).into(),
        ValueKind::Boolean(value) => (*value).into(),
        ValueKind::I64(value) => (*value).into(),
        ValueKind::Float(value) => (*value).into(),
        ValueKind::Nil => return None,
        ValueKind::Array(values) => values.iter().filter_map(to_value).collect::<Vec<_>>().into(),
        other => other.to_string().into(),
    })
}
