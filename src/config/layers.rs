//! Reads and merges the layers: defaults, files, environment.

use std::collections::HashMap;
use std::path::PathBuf;

use config::{FileFormat, Map, Source, Value, ValueKind};
use serde::Deserialize;

use super::file::File;

/// The compiled-in defaults: also the manual of every key.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The environment as a layer: variables named `POOLWISE__SECTION__KEY`.
#[derive(Debug, Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let text = |os: std::ffi::OsString| os.into_string().ok();
        Self(std::env::vars_os().filter_map(|(k, v)| Some((text(k)?, text(v)?))).collect())
    }

    /// A made-up environment, for tests.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    /// The keys that it sets, as paths. Values stay text: they are read as the type of their key,
    /// so that a password of digits keeps its zeros.
    fn keys(&self) -> Result<Vec<(Vec<String>, Value)>, config::ConfigError> {
        let source = config::Environment::with_prefix("POOLWISE")
            .prefix_separator("__")
            .separator("__")
            .source(Some(self.0.clone()));
        let mut keys: Vec<_> = source
            .collect()?
            .into_iter()
            .map(|(key, value)| {
                let mut path: Vec<String> = key.split('.').map(str::to_owned).collect();
                if let [section, name, ..] = path.as_mut_slice()
                    && section == "strategies"
                {
                    *name = name.replace('_', "-");
                }
                (path, value)
            })
            .collect();
        // Shorter paths first: `..._ACCESS=pool` then `..._ACCESS__SIZE=4`, whatever their order.
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(keys)
    }
}

type Table = Map<String, Value>;

/// Reads every layer; problems are added to `problems`. The second value is what was merged, for
/// showing. `None` only when not even the defaults can be used.
pub(super) fn read(
    files: &[PathBuf],
    environment: &Environment,
    problems: &mut Vec<String>,
) -> (Option<File>, Table) {
    let defaults = parse_text(DEFAULTS).expect("the compiled-in defaults parse: a test holds it");
    let mut merged = defaults.clone();
    for path in files {
        match parse_file(path) {
            Ok(layer) => merge(&mut merged, layer, &mut Vec::new()),
            Err(reason) => problems.push(reason),
        }
    }
    match environment.keys() {
        Ok(keys) => keys.into_iter().for_each(|(path, value)| set_key(&mut merged, path, value)),
        Err(error) => problems.push(format!("the environment cannot be read: {error}")),
    }
    (deserialize(&merged, &defaults, problems), merged)
}

fn parse_text(text: &str) -> Result<Table, config::ConfigError> {
    let mut table = config::File::from_str(text, FileFormat::Toml).collect()?;
    normalise(&mut table);
    Ok(table)
}

fn parse_file(path: &PathBuf) -> Result<Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse_text(&text).map_err(|error| {
        let reason = mistake(&text).unwrap_or_else(|| plain(&error));
        format!("{} is not valid TOML: {reason}", path.display())
    })
}

/// Where a text is no TOML and why, without the line itself: a password may stand in it.
fn mistake(text: &str) -> Option<String> {
    let error = text.parse::<toml::Table>().err()?;
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Some(format!("line {line}: {}", error.message()))
}

/// Turns `access = "pool"` into `access = { kind = "pool" }`, and `cache` likewise, so that single
/// keys can be set on top.
fn normalise(table: &mut Table) {
    let Some(strategies) = table.get_mut("strategies").and_then(as_table) else { return };
    for strategy in strategies.values_mut().filter_map(as_table) {
        for (key, value) in strategy.iter_mut() {
            if let Some(name_key) = name_key(key)
                && let ValueKind::String(name) = &value.kind
            {
                let name = Value::new(None, ValueKind::String(name.clone()));
                value.kind = ValueKind::Table(Map::from_iter([(name_key.to_owned(), name)]));
            }
        }
    }
}

/// The key that names the plugin in this part of a strategy; `None` for what is no plugin.
fn name_key(part: &str) -> Option<&'static str> {
    match part {
        "access" => Some("kind"),
        "cache" => Some("store"),
        _ => None,
    }
}

fn as_table(value: &mut Value) -> Option<&mut Table> {
    match &mut value.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

/// Tables merge key by key, but a strategy's access and cache are replaced whole: keys of one
/// plugin must not leak into another.
fn merge(base: &mut Table, layer: Table, path: &mut Vec<String>) {
    for (key, value) in layer {
        path.push(key.clone());
        let whole = matches!(path.as_slice(), [first, _, part]
            if first == "strategies" && name_key(part).is_some());
        match (base.get_mut(&key).map(|v| &mut v.kind), value.kind) {
            (Some(ValueKind::Table(old)), ValueKind::Table(new)) if !whole => merge(old, new, path),
            (_, kind) => {
                base.insert(key, Value::new(None, kind));
            }
        }
        path.pop();
    }
}

/// Sets one key of the environment. A bare plugin name replaces the plugin whole, as in a file.
fn set_key(merged: &mut Table, mut path: Vec<String>, value: Value) {
    if let [first, name, part] = path.as_slice()
        && first == "strategies"
        && let Some(name_key) = name_key(part)
    {
        let (name, part) = (name.clone(), part.clone());
        if let Some(strategies) = merged.get_mut("strategies").and_then(as_table)
            && let Some(strategy) = strategies.get_mut(&name).and_then(as_table)
        {
            strategy.remove(&part);
        }
        path.push(name_key.to_owned());
    }
    set(merged, &path, value);
}

fn set(table: &mut Table, path: &[String], value: Value) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        let kind = match table.get(key).map(|value| &value.kind) {
            // As the kind that stands there, so that a dump shows a number as a number.
            Some(ValueKind::I64(_)) => value.clone().into_int().map(ValueKind::I64).ok(),
            Some(ValueKind::Boolean(_)) => value.clone().into_bool().map(ValueKind::Boolean).ok(),
            Some(ValueKind::Float(_)) => value.clone().into_float().map(ValueKind::Float).ok(),
            _ => None,
        };
        table.insert(key.clone(), Value::new(None, kind.unwrap_or(value.kind)));
        return;
    }
    let entry =
        table.entry(key.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
    if as_table(entry).is_none() {
        entry.kind = ValueKind::Table(Map::new());
    }
    if let Some(inner) = as_table(entry) {
        set(inner, rest, value);
    }
}

/// Reads the merged layers; each value of a wrong type is reported and replaced by its default
/// until the rest reads, so that all are reported at once.
fn deserialize(merged: &Table, defaults: &Table, problems: &mut Vec<String>) -> Option<File> {
    let mut merged = merged.clone();
    loop {
        let mut unknown = Vec::new();
        let value = Value::new(None, ValueKind::Table(merged.clone()));
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
        // Through an Option the path reads `a.?.b`.
        let mut note =
            |path: serde_ignored::Path<'_>| unknown.push(path.to_string().replace(".?", ""));
        let read = serde_ignored::Deserializer::new(tracked, &mut note);
        match File::deserialize(read) {
            Ok(file) => {
                unknown.sort();
                problems.extend(unknown.iter().map(|key| format!("`{key}` is not a known key")));
                return Some(file);
            }
            Err(error) => {
                let path = track.path().to_string();
                problems.push(format!("`{path}`: {}", plain(&error)));
                let path: Vec<&str> = path.split('.').collect();
                if !restore(&mut merged, defaults, &path) {
                    return None;
                }
            }
        }
    }
}

/// The error without the library's own guess of the key.
fn plain(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::Type { unexpected, expected, .. } => {
            format!("expected {expected}, found {unexpected}")
        }
        config::ConfigError::At { error, .. } => plain(error),
        other => other.to_string(),
    }
}

/// Puts the default back at `path`, or removes what is there; false when nothing was there.
fn restore(table: &mut Table, defaults: &Table, path: &[&str]) -> bool {
    let [key, rest @ ..] = path else { return false };
    if rest.is_empty() {
        return match (defaults.get(*key), table.get(*key)) {
            (Some(default), Some(now)) if default == now => false,
            (Some(default), _) => {
                table.insert((*key).to_owned(), default.clone());
                true
            }
            (None, _) => table.remove(*key).is_some(),
        };
    }
    let empty = Table::new();
    let defaults = match defaults.get(*key).map(|value| &value.kind) {
        Some(ValueKind::Table(inner)) => inner,
        _ => &empty,
    };
    match table.get_mut(*key).and_then(as_table) {
        Some(inner) => restore(inner, defaults, rest),
        None => false,
    }
}
