//! What the manual, `config/default.toml`, says of each key: its comment, and its default or example.

use super::layers::DEFAULTS;

/// A key as the manual has it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub section: String,
    pub key: String,
    /// The comment above it.
    pub about: String,
    pub value: toml::Value,
    /// Whether the value holds by default, or is an example.
    pub is_default: bool,
}

/// Every key of the manual, in its order, but for those of strategies.
pub(super) fn entries() -> Vec<Entry> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut about: Vec<&str> = Vec::new();
    for line in DEFAULTS.lines() {
        let comment = line.strip_prefix('#').map(|text| text.strip_prefix(' ').unwrap_or(text));
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            about.clear();
        } else if section.is_empty() || section.starts_with("strategies") {
        } else if let Some((key, value)) = key_and_value(comment.unwrap_or(line)) {
            let is_default = comment.is_none();
            let (section, about) = (section.clone(), text_of(&std::mem::take(&mut about)));
            found.push(Entry { section, key: key.to_owned(), about, value, is_default });
        } else {
            match comment {
                Some(text) => about.push(text),
                None => about.clear(),
            }
        }
    }
    found
}

/// A line that sets a key; prose is none.
fn key_and_value(line: &str) -> Option<(&str, toml::Value)> {
    let (key, _) = line.split_once(" = ")?;
    let is_name = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let table: toml::Table = line.parse().ok()?;
    is_name.then(|| Some((key, table.get(key)?.clone())))?
}

/// Lines as running text; those that are indented stay lines of their own.
fn text_of(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut was_indented = false;
    for line in lines {
        let indented = line.starts_with("  ");
        let sign = match (text.is_empty(), indented || was_indented) {
            (true, _) => "",
            (_, true) => "\n",
            (_, false) => " ",
        };
        text += sign;
        text += line.trim_end();
        was_indented = indented;
    }
    match text.strip_prefix("(restart) ") {
        Some(rest) => format!("{rest} A change takes effect at the next start."),
        None => text,
    }
}
