//! Reading a JSON text by hand, field by field, so that a number is never taken through a float and every
//! problem is found.

use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::query::Price;

/// So many problems of one document are said at once.
pub const MAX_PROBLEMS: usize = 20;
/// The longest name of a field that is repeated in a problem, in characters.
const MAX_NAME_CHARS: usize = 64;

/// What is wrong with one place of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The place (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// What is wrong and what is allowed, as the end of the sentence "`pointer` ...".
    pub reason: String,
}

/// A value of a document as it is written.
pub(super) type Raw<'a> = &'a RawValue;

/// Reads a document and gathers what is wrong with it.
#[derive(Default)]
pub(crate) struct Reader(Vec<Invalid>);

impl Reader {
    /// Notes a problem, as long as they are not too many.
    pub fn refuse(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(Invalid { pointer: pointer.into(), reason: reason.into() });
        }
    }

    /// What was read, if nothing was wrong.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Invalid>> {
        match read {
            Some(read) if self.0.is_empty() => Ok(read),
            _ => Err(self.0),
        }
    }

    /// The document in these bytes.
    pub fn document<'a>(&mut self, bytes: &'a [u8]) -> Option<Raw<'a>> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.refuse("", "must be text in UTF-8");
            return None;
        };
        match serde_json::from_str(text) {
            Ok(raw) => Some(raw),
            Err(error) => {
                self.refuse("", format!("must be JSON: {error}"));
                None
            }
        }
    }

    /// The fields of an object, in the order of `known`. Others and repeated ones are refused.
    pub fn fields<'a, const N: usize>(
        &mut self,
        at: &str,
        raw: Raw<'a>,
        known: [&str; N],
    ) -> Option<[Option<Raw<'a>>; N]> {
        if !raw.get().starts_with('{') {
            self.refuse(at, format!("must be an object with {}", known.join(", ")));
            return None;
        }
        let Members(members) = self.read(at, raw, |de| de.deserialize_map(MembersVisitor))?;
        let mut found = [None; N];
        for (name, value) in members {
            match known.iter().position(|known| **known == *name) {
                Some(place) if found[place].is_none() => found[place] = Some(value),
                Some(_) => self.refuse(below(at, &name), "is given more than once"),
                None => self.refuse(
                    below(at, &name),
                    format!("is not known; known are {}", known.join(", ")),
                ),
            }
        }
        Some(found)
    }

    /// The members of an array that has `min` to `max` of them.
    pub fn members<'a>(
        &mut self,
        at: &str,
        raw: Raw<'a>,
        (min, max): (usize, usize),
        what: &str,
    ) -> Option<Vec<Raw<'a>>> {
        let range = format!("must be an array of {min} to {max} {what}");
        if !raw.get().starts_with('[') {
            self.refuse(at, range);
            return None;
        }
        let Elements(elements) = self.read(at, raw, |de| de.deserialize_seq(ElementsVisitor))?;
        if !(min..=max).contains(&elements.len()) {
            self.refuse(at, format!("{range}, and has {}", elements.len()));
            return None;
        }
        Some(elements)
    }

    fn read<'a, T>(
        &mut self,
        at: &str,
        raw: Raw<'a>,
        read: impl FnOnce(
            &mut serde_json::Deserializer<serde_json::de::StrRead<'a>>,
        ) -> serde_json::Result<T>,
    ) -> Option<T> {
        read(&mut serde_json::Deserializer::from_str(raw.get()))
            .map_err(|error| self.refuse(at, format!("cannot be read: {error}")))
            .ok()
    }

    /// A field that must be there.
    pub fn required<'a>(
        &mut self,
        at: &str,
        name: &str,
        field: Option<Raw<'a>>,
    ) -> Option<Raw<'a>> {
        if field.is_none() {
            self.refuse(below(at, name), "is missing");
        }
        field
    }

    /// Any text.
    pub fn any_text(&mut self, at: String, raw: Raw<'_>) -> Option<String> {
        let text = serde_json::from_str(raw.get()).ok();
        if text.is_none() {
            self.refuse(at, "must be text");
        }
        text
    }

    /// Text of 1 to `max` characters of which none is `forbidden`.
    pub fn text(
        &mut self,
        at: String,
        raw: Raw<'_>,
        max: usize,
        (forbidden, named): (fn(char) -> bool, &str),
    ) -> Option<String> {
        let shape = || format!("must be text of 1 to {max} characters, without {named}");
        let text = if raw.get().starts_with('"') {
            serde_json::from_str::<String>(raw.get()).ok()
        } else {
            None
        };
        let fits = |text: &String| {
            // No character has more than four bytes.
            !text.is_empty()
                && text.len() <= max * 4
                && text.chars().count() <= max
                && !text.contains(forbidden)
        };
        let text = text.filter(fits);
        if text.is_none() {
            self.refuse(at, shape());
        }
        text
    }

    /// A whole number written in digits.
    pub fn whole(&mut self, at: String, raw: Raw<'_>, (min, max): (i64, i64)) -> Option<i64> {
        let number = raw.get().parse().ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.refuse(at, format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// A price as a number, read from its digits, or as text.
    pub fn price(&mut self, at: String, raw: Raw<'_>) -> Option<Price> {
        let written = raw.get();
        let text = match written.starts_with('"') {
            true => serde_json::from_str(written).unwrap_or_default(),
            false => written.to_owned(),
        };
        text.parse().map_err(|reason: &str| self.refuse(at, reason)).ok()
    }
}

/// The place of a field of the object at `at`.
pub(crate) fn below(at: &str, name: &str) -> String {
    let short: String = name.chars().take(MAX_NAME_CHARS).collect();
    format!("{at}/{}", short.replace('~', "~0").replace('/', "~1"))
}

struct Members<'a>(Vec<(String, Raw<'a>)>);
struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

struct Elements<'a>(Vec<Raw<'a>>);
struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Elements(elements))
    }
}
