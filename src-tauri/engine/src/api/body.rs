//! A request's body: JSON objects only, and an empty body is an empty one.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Problem;

/// A field that is given twice is a mistake: nobody knows which of the two was meant.
pub(super) fn read<T: for<'a> Deserialize<'a> + Default>(body: &[u8]) -> Result<T, Problem> {
    object::<Single, T>(body, |Single(map)| map)
}

/// For callers that nobody can mend: of a field that is given twice, the last counts.
pub(super) fn read_lenient<T: for<'a> Deserialize<'a> + Default>(
    body: &[u8],
) -> Result<T, Problem> {
    object::<Map<String, Value>, T>(body, |map| map)
}

/// An object each of whose fields is given once.
struct Single(Map<String, Value>);

// By way of a map: a list would be taken for the fields in their order.
fn object<M, T>(body: &[u8], map: fn(M) -> Map<String, Value>) -> Result<T, Problem>
where
    M: for<'a> Deserialize<'a>,
    T: for<'a> Deserialize<'a> + Default,
{
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    let unexpected = |error: &serde_json::Error| {
        Problem::unprocessable(format!("the body is not what is expected here: {error}"))
    };
    let object: M = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => unexpected(&error),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => {
            Problem::bad_request(format!("the body is not JSON: {error}"))
        }
    })?;
    T::deserialize(Value::Object(map(object))).map_err(|error| unexpected(&error))
}

impl<'a> Deserialize<'a> for Single {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'a> Visitor<'a> for Fields {
            type Value = Single;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a map")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut given: A) -> Result<Single, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = given.next_entry::<String, Value>()? {
                    if map.contains_key(&name) {
                        return Err(A::Error::custom(format_args!(
                            "`{name}` is given more than once; once is allowed"
                        )));
                    }
                    map.insert(name, value);
                }
                Ok(Single(map))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
