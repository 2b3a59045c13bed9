//! The shape of a type that is read from TOML: what it asks its deserializer for. So the JSON schema of
//! the configuration follows from the types that read it, without a second list of keys.
//!
//! Every question is answered with some value that the type takes, and noted.

use std::fmt::Display;

use serde::de::value::{Error, SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, Visitor,
};

/// What may be written for a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number from 0 to the largest of its type; `None`: of any practical size.
    Whole(Option<u64>),
    /// A number.
    Number,
    /// Any text.
    Text,
    /// A duration as text.
    Duration,
    /// A number of bytes, or a size as text.
    Size,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    List,
    /// Keys of known names, in the order of the type.
    Table(Vec<(&'static str, Shape)>),
    /// Any keys, each of this shape.
    Named(Box<Shape>),
    /// Whatever the type makes of it later.
    Anything,
}

impl Shape {
    /// The shape of a type.
    ///
    /// # Panics
    /// When the type takes none of the values that it is offered: a case is missing here.
    pub fn of<T: DeserializeOwned>() -> Self {
        Self::traced::<T>().unwrap_or_else(|error| {
            panic!("{} cannot be traced: {error}", std::any::type_name::<T>())
        })
    }

    /// The shape of a type of somebody else: [`Anything`](Shape::Anything) where it takes none of the values
    /// that it is offered.
    pub fn of_any<T: DeserializeOwned>() -> Self {
        Self::traced::<T>().unwrap_or(Shape::Anything)
    }

    fn traced<T: DeserializeOwned>() -> Result<Self, Error> {
        let mut shape = Shape::Anything;
        T::deserialize(Tracer(&mut shape))?;
        Ok(shape)
    }
}

/// Notes into the shape what it is asked for.
struct Tracer<'a>(&'a mut Shape);

/// What a visitor says that it expects: the crates of durations and sizes say it in their own words.
fn expects<'de>(visitor: &impl Visitor<'de>) -> String {
    struct Say<'a, V>(&'a V);
    impl<'de, V: Visitor<'de>> Display for Say<'_, V> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Expected::fmt(self.0, f)
        }
    }
    Say(visitor).to_string()
}

/// Whole numbers of a type, up to a limit or without one.
macro_rules! whole {
    ($($method:ident => $most:expr,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            *self.0 = Shape::Whole($most);
            visitor.visit_u64(1)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match expects(&visitor).as_str() {
            "an integer or string" => {
                *self.0 = Shape::Size;
                visitor.visit_u64(1)
            }
            "any valid configuration value" => {
                *self.0 = Shape::Anything;
                visitor.visit_bool(true)
            }
            _ => {
                *self.0 = Shape::List;
                visitor.visit_seq(SeqDeserializer::new(std::iter::once("1")))
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Shape::Bool;
        visitor.visit_bool(true)
    }

    whole! {
        deserialize_u8 => Some(u8::MAX.into()),
        deserialize_u16 => Some(u16::MAX.into()),
        deserialize_u32 => Some(u32::MAX.into()),
        deserialize_u64 => None,
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Shape::Number;
        visitor.visit_f64(0.5)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 =
            if expects(&visitor).contains("duration") { Shape::Duration } else { Shape::Text };
        visitor.visit_str("1s")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Shape::List;
        visitor.visit_seq(SeqDeserializer::new(std::iter::once("1")))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut found = Vec::new();
        let value = visitor.visit_map(Fields { names: &["name"], found: &mut found });
        if let Some((_, shape)) = found.pop() {
            *self.0 = Shape::Named(Box::new(shape));
        }
        value
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut found = Vec::new();
        let value = visitor.visit_map(Fields { names, found: &mut found });
        *self.0 = Shape::Table(found);
        value
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Shape::OneOf(names);
        let first: StrDeserializer<'_, Error> =
            names.first().copied().unwrap_or_default().into_deserializer();
        visitor.visit_enum(first)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// Each field once.
struct Fields<'a> {
    names: &'static [&'static str],
    found: &'a mut Vec<(&'static str, Shape)>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let name = self.names.get(self.found.len());
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut shape = Shape::Anything;
        let value = seed.deserialize(Tracer(&mut shape))?;
        self.found.push((self.names[self.found.len()], shape));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Colour {
        Red,
        VeryBlue,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct All {
        flag: Option<bool>,
        port: u16,
        count: usize,
        share: f64,
        text: String,
        path: std::path::PathBuf,
        #[serde(with = "humantime_serde")]
        time: Duration,
        #[serde(default, with = "humantime_serde")]
        other_time: Option<Duration>,
        size: bytesize::ByteSize,
        colour: Colour,
        #[serde(deserialize_with = "super::super::list::read")]
        list: Vec<String>,
        later: Option<config::Value>,
        named: BTreeMap<String, Inner>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct Inner {
        deep: u32,
    }

    #[test]
    fn every_kind_of_key_is_told_from_the_others() {
        let expected = vec![
            ("flag", Shape::Bool),
            ("port", Shape::Whole(Some(65_535))),
            ("count", Shape::Whole(None)),
            ("share", Shape::Number),
            ("text", Shape::Text),
            ("path", Shape::Text),
            ("time", Shape::Duration),
            ("other_time", Shape::Duration),
            ("size", Shape::Size),
            ("colour", Shape::OneOf(&["red", "very-blue"])),
            ("list", Shape::List),
            ("later", Shape::Anything),
            (
                "named",
                Shape::Named(Box::new(Shape::Table(vec![(
                    "deep",
                    Shape::Whole(Some(u32::MAX.into())),
                )]))),
            ),
        ];
        assert_eq!(Shape::of::<All>(), Shape::Table(expected));
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct Others {
        below_zero: i64,
        pair: (u8, char),
    }

    #[test]
    fn options_that_cannot_be_traced_may_be_anything() {
        assert_eq!(Shape::of_any::<Others>(), Shape::Anything);
        assert_eq!(Shape::of_any::<Inner>(), Shape::of::<Inner>());
    }
}
