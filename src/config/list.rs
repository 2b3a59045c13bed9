//! Lists: an array in a file, or in the environment one text with commas between the values.

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Array(Vec<String>),
    Text(String),
}

/// Reads either way to write it; an empty text is an empty list.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let trimmed = |text: &str| text.trim().to_owned();
    Ok(match Written::deserialize(from) {
        Ok(Written::Array(values)) => values,
        Ok(Written::Text(text)) => {
            text.split(',').map(trimmed).filter(|value| !value.is_empty()).collect()
        }
        Err(_) => return Err(serde::de::Error::custom("expected a list of texts")),
    })
}
