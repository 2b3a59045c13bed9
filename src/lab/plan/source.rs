//! From a name or a path to a table of TOML: finds the text, and lays a plan over the one that it
//! extends. Knows which keys belong together, not what they mean.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{builtin, read};

/// Longer chains of `extends` are taken for a circle.
const LONGEST_CHAIN: usize = 8;

/// The text of a plan, and where it is from.
pub(super) struct Text {
    /// The plan's name.
    pub name: String,
    /// What messages call it: a path.
    pub label: String,
    text: Cow<'static, str>,
    /// Where relative paths in it start; `None` for a compiled-in plan.
    folder: Option<PathBuf>,
}

/// Finds a compiled-in plan by name, or a file by path, relative to the file `beside` that names it.
///
/// # Errors
/// A sentence, when there is no such plan or the file cannot be read.
pub(super) fn find(name_or_path: &str, beside: Option<&Text>) -> Result<Text, String> {
    if !(name_or_path.ends_with(".toml") || name_or_path.contains('/')) {
        let names: Vec<&str> = builtin::ALL.iter().map(|(name, _)| *name).collect();
        let text = builtin::text(name_or_path).ok_or_else(|| {
            format!(
                "there is no plan {name_or_path:?}; there are {}, or write the path of a TOML file",
                names.join(", ")
            )
        })?;
        let label = format!("config/lab/{name_or_path}.toml");
        return Ok(Text { name: name_or_path.into(), label, text: text.into(), folder: None });
    }
    let folder = beside.and_then(|text| text.folder.as_deref()).unwrap_or(Path::new(""));
    let path = folder.join(name_or_path);
    let label = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{label} cannot be read: {error}"))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = Some(path.parent().unwrap_or(Path::new("")).to_owned());
    Ok(Text { name, label, text: text.into(), folder })
}

/// The table of a plan, laid over the plan that it extends.
///
/// # Errors
/// A sentence, when it or what it extends is not there, not TOML, or a suite.
pub(super) fn table(text: &Text) -> Result<Table, String> {
    table_within(text, LONGEST_CHAIN)
}

fn table_within(text: &Text, chain: usize) -> Result<Table, String> {
    let label = &text.label;
    let own = read::parse(&text.text).map_err(|problem| format!("{label}: {problem}"))?;
    let Some(base) = own.get("extends").and_then(Value::as_str) else { return Ok(own) };
    let said = |problem: String| format!("{label}: `extends`: {problem}");
    if chain == 0 {
        return Err(said(format!("plan {base:?} leads back to itself; break the circle")));
    }
    let found = find(base, Some(text)).map_err(said)?;
    let base = table_within(&found, chain - 1)?;
    if base.contains_key("plans") {
        let name = found.name;
        return Err(said(format!("{name:?} is a suite; name one of its plans")));
    }
    Ok(lay_over(base, own))
}

/// Tables are laid over each other key by key, except what only makes sense as a whole.
fn lay_over(mut base: Table, own: Table) -> Table {
    for key in ["extends", "reading", "mixed_reading"] {
        base.remove(key);
    }
    if own.contains_key("strategies") || own.contains_key("sweep") {
        for key in ["strategies", "sweep", "baseline"] {
            base.remove(key);
        }
        let named = own.get("strategies").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(Value::Table(defined)) = base.get_mut("strategy") {
            defined.retain(|name, _| named.iter().any(|named| named.as_str() == Some(name)));
        }
    }
    // A `[load]` that says nothing of the model changes single keys of the other one.
    let loads = ["load", "point", "search"];
    let changes_keys = |load: &Value| load.get("model").is_none();
    let changes_load = own.get("load").is_some_and(changes_keys) && base.contains_key("load");
    if loads.iter().any(|key| own.contains_key(*key)) && !changes_load {
        loads.iter().for_each(|key| drop(base.remove(*key)));
    }
    merge(&mut base, own);
    base
}

fn merge(base: &mut Table, own: Table) {
    for (key, value) in own {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}
