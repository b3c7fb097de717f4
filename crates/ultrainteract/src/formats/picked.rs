//! Parts of a record: some of its fields, or their kinds alone. What is passed over takes no memory.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::lenient::numbers_as_strings;

/// Some fields of an object as they stand there, one that is there twice too.
pub(super) struct Picked<V>(pub Vec<(String, V)>);

impl<V: DeserializeOwned> Picked<V> {
    /// The fields of these names; `None` if the record is no object.
    pub fn from_record(record: &[u8], wanted: &[&str]) -> Option<Self> {
        let pick = |record: &[u8]| {
            let text = std::str::from_utf8(record).ok()?;
            let mut parser = serde_json::Deserializer::from_str(text);
            let mut picked = Vec::new();
            Fields(wanted, &mut picked).deserialize(&mut parser).ok()?;
            parser.end().ok().map(|()| Self(picked))
        };
        pick(record).or_else(|| pick(&numbers_as_strings(record)?))
    }
}

/// The names of the fields to pick, and where they go.
struct Fields<'a, V>(&'a [&'a str], &'a mut Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> DeserializeSeed<'de> for Fields<'_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Fields<'_, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                self.1.push((name, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A value as it is written: an object in it has a field twice if it is there twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    /// No list and no object.
    Scalar(Value),
    List(Vec<Written>),
    Object(Vec<(String, Written)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Written, E> {
                Ok(Written::Scalar(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Written, E> {
                Ok(Written::Scalar(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Written, E> {
                Ok(Written::Scalar(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Written, E> {
                Ok(Written::Scalar(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Written, E> {
                Ok(Written::Scalar(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Written, E> {
                Ok(Written::Scalar(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Written, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Written::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Written::Object(fields))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

/// An object of which lists and objects are empty: enough to know its format.
pub(super) struct Outline(pub Value);

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kinds;
        impl<'de> Visitor<'de> for Kinds {
            type Value = Outline;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
                let mut fields = Map::new();
                while let Some(name) = map.next_key::<String>()? {
                    let Kind(value) = map.next_value()?;
                    fields.insert(name, value);
                }
                Ok(Outline(Value::Object(fields)))
            }
        }
        deserializer.deserialize_map(Kinds)
    }
}

struct Kind(Value);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
                Ok(Kind(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
                Ok(Kind(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
                Ok(Kind(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
                Ok(Kind(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
                Ok(Kind(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Kind(Value::Array(Vec::new())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Kind(Value::Object(Map::new())))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
