//! Reads a TOML table into a shape and names everything that is wrong with it at once: unknown keys
//! and values of the wrong type. Knows nothing of what the keys mean.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

/// Parses TOML text; the error is a sentence with the line.
///
/// # Errors
/// When it is not TOML.
pub(in crate::lab) fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not valid TOML: {}", error.message())
    })
}

/// Reads `table`. A value of the wrong type is reported and left out until the rest reads, so every
/// field of `T` must have a default. `manual` is searched for an example of each wrong key. `None`
/// only when nothing can be read at all.
pub(in crate::lab) fn read<T: DeserializeOwned>(
    mut table: Table,
    manual: &str,
    problems: &mut Vec<String>,
) -> Option<T> {
    loop {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let value = Value::Table(table.clone());
        let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(with_brackets(&path));
        match T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note)) {
            Ok(read) => {
                unknown.sort();
                let text = |key: &String| format!("`{key}` is not a known key");
                problems.extend(unknown.iter().map(text));
                return Some(read);
            }
            Err(error) => {
                let path = track.path();
                let mut keys = path.iter().filter_map(|segment| match segment {
                    Segment::Map { key } => Some(key.as_str()),
                    _ => None,
                });
                let example = keys.next_back().and_then(|key| example(manual, key));
                let example = example.map(|line| format!("; write it as in `{line}`"));
                let (message, example) = (error.message(), example.unwrap_or_default());
                problems.push(format!("`{path}`: {message}{example}"));
                let segments: Vec<&Segment> = path.iter().collect();
                if !remove(&mut table, &segments) {
                    return None;
                }
            }
        }
    }
}

/// `point.0.users` as `point[0].users`; through an `Option` the path reads `a.?.b`.
fn with_brackets(path: &serde_ignored::Path<'_>) -> String {
    let mut text = String::new();
    for part in path.to_string().split('.').filter(|part| *part != "?") {
        match part.parse::<usize>() {
            Ok(index) if !text.is_empty() => text.push_str(&format!("[{index}]")),
            _ if text.is_empty() => text.push_str(part),
            _ => text.push_str(&format!(".{part}")),
        }
    }
    text
}

/// The line of the manual that shows this key, commented out or not.
fn example<'a>(manual: &'a str, key: &str) -> Option<&'a str> {
    let lines = manual.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
    let shows = |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "));
    lines.into_iter().find(shows).filter(|line| !line.ends_with('['))
}

/// Takes out what is at the end of the path; false when there is nothing that can be taken out.
fn remove(table: &mut Table, path: &[&Segment]) -> bool {
    let [Segment::Map { key }, rest @ ..] = path else { return false };
    if rest.is_empty() {
        return table.remove(key).is_some();
    }
    table.get_mut(key).is_some_and(|value| remove_in(value, rest)) || table.remove(key).is_some()
}

fn remove_in(value: &mut Value, path: &[&Segment]) -> bool {
    match (value, path) {
        (Value::Table(table), [Segment::Map { .. }, ..]) => remove(table, path),
        (Value::Array(array), [Segment::Seq { index }]) if *index < array.len() => {
            array.remove(*index);
            true
        }
        (Value::Array(array), [Segment::Seq { index }, rest @ ..]) => {
            array.get_mut(*index).is_some_and(|value| remove_in(value, rest))
        }
        _ => false,
    }
}
