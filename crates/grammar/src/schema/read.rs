//! Reads the keywords of one subschema.
//!
//! Invariant: a keyword that constrains and is not honoured is an error that names it.

use serde_json::{Map, Value};

use super::decimal::{Bound, Decimal};
use super::facets::{Additional, Facets, Place, is_among};
use super::{REPETITIONS_MAX, SchemaError, fail, format, pattern};
use crate::Kinds;

/// Words that say something about a schema and constrain nothing.
const ANNOTATIONS: [&str; 16] = [
    "title",
    "description",
    "default",
    "examples",
    "example",
    "$schema",
    "$id",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "discriminator",
    "contentEncoding",
    "contentMediaType",
    "$defs",
    "definitions",
];

/// Bytes of a property's name.
pub const NAME_BYTES_MAX: usize = 256;

/// Keywords that put subschemas together; [`super::merge`] follows them.
const COMBINERS: [&str; 4] = ["$ref", "allOf", "anyOf", "oneOf"];

/// What the keywords of `place` say, those that put subschemas together left aside.
pub(super) fn facets<'a>(place: &Place<'a>) -> Result<Facets<'a>, SchemaError> {
    let mut facets = Facets::default();
    match place.schema {
        Value::Bool(true) => {}
        Value::Object(map) => {
            for (key, value) in map {
                Reader { place, map }.keyword(key, value, &mut facets)?;
            }
        }
        _ => return Err(fail(&place.at, "a schema must be an object")),
    }
    Ok(facets)
}

struct Reader<'p, 'a> {
    place: &'p Place<'a>,
    map: &'a Map<String, Value>,
}

impl<'a> Reader<'_, 'a> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, SchemaError> {
        Err(fail(&self.place.at, reason))
    }

    fn keyword(
        &self,
        key: &str,
        value: &'a Value,
        facets: &mut Facets<'a>,
    ) -> Result<(), SchemaError> {
        match key {
            "type" => self.types(value, facets)?,
            "enum" => facets.and_values(self.list(key, value)?.iter().collect()),
            "const" => facets.and_values(vec![value]),
            "properties" | "required" | "additionalProperties" => {
                facets.meant = facets.meant.or(Kinds::OBJECT);
                self.object(key, value, facets)?;
            }
            "items" | "prefixItems" | "minItems" | "maxItems" => {
                facets.meant = facets.meant.or(Kinds::ARRAY);
                self.array(key, value, facets)?;
            }
            "minLength" | "maxLength" | "pattern" | "format" => {
                facets.meant = facets.meant.or(Kinds::STRING);
                self.string(key, value, facets)?;
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                facets.meant = facets.meant.or(Kinds::NUMBER);
                self.number(key, value, facets)?;
            }
            _ if COMBINERS.contains(&key) => {}
            _ if is_annotation(key) => {}
            _ => return self.fail(format!("keyword `{key}` is not supported")),
        }
        Ok(())
    }

    fn types(&self, value: &Value, facets: &mut Facets<'a>) -> Result<(), SchemaError> {
        let names: Vec<&Value> = match value {
            Value::Array(list) if !list.is_empty() => list.iter().collect(),
            value => vec![value],
        };
        let mut kinds = Kinds::NONE;
        let (mut whole, mut any) = (false, false);
        for name in names {
            match name.as_str().and_then(Kinds::named) {
                Some(kind) => kinds = kinds.or(kind),
                None => return self.fail(format!("unknown `type` {value}")),
            }
            whole |= name == "integer";
            any |= name == "number";
        }
        facets.types = Some(kinds);
        if whole && !any {
            self.step(Decimal::ONE, facets)?;
        }
        Ok(())
    }

    fn step(&self, step: Decimal, facets: &mut Facets<'a>) -> Result<(), SchemaError> {
        let merged = match facets.number.step {
            None => Some(step),
            Some(other) => other.common_multiple(step),
        };
        match merged {
            None => self.fail("`multipleOf` is not supported for this `type`"),
            merged => {
                facets.number.step = merged;
                Ok(())
            }
        }
    }

    fn list(&self, key: &str, value: &'a Value) -> Result<&'a Vec<Value>, SchemaError> {
        match value.as_array().filter(|list| !list.is_empty()) {
            Some(list) => Ok(list),
            None => self.fail(format!("`{key}` must be a list with something in it")),
        }
    }

    /// What must be there is written out, what may be there is not.
    fn least(&self, key: &str, value: &Value) -> Result<u64, SchemaError> {
        match self.count(key, value)? {
            least if least > u64::from(REPETITIONS_MAX) => {
                self.fail(format!("`{key}` is more than {REPETITIONS_MAX}"))
            }
            least => Ok(least),
        }
    }

    fn count(&self, key: &str, value: &Value) -> Result<u64, SchemaError> {
        // 3.0 is a whole number as well.
        let whole = |number: &f64| number.fract() == 0.0 && (0.0..1e15).contains(number);
        let count = value
            .as_u64()
            .or_else(|| value.as_f64().filter(whole).map(|number| number as u64));
        match count {
            Some(count) => Ok(count),
            None => self.fail(format!("`{key}` must be a whole number from 0")),
        }
    }

    fn object(
        &self,
        key: &str,
        value: &'a Value,
        facets: &mut Facets<'a>,
    ) -> Result<(), SchemaError> {
        let object = &mut facets.object;
        match (key, value) {
            ("properties", Value::Object(map)) => {
                if map.keys().any(|name| name.len() > NAME_BYTES_MAX) {
                    return self.fail(format!("a name has more than {NAME_BYTES_MAX} bytes"));
                }
                object.properties = map
                    .iter()
                    .map(|(name, schema)| {
                        let step = format!("properties/{}", escaped(name));
                        let place = self.place.child(schema, &step);
                        // `false` forbids a property.
                        let word = (*schema != Value::Bool(false)).then(|| vec![place]);
                        (name.as_str(), word)
                    })
                    .collect();
            }
            ("required", Value::Array(names)) => {
                for name in names {
                    match name.as_str() {
                        Some(name) if object.required.contains(&name) => {}
                        Some(name) => object.required.push(name),
                        None => return self.fail("`required` must be a list of names"),
                    }
                }
            }
            ("required", _) => return self.fail("`required` must be a list of names"),
            ("additionalProperties", Value::Bool(false)) => {
                object.additional = Additional::Forbidden;
            }
            ("additionalProperties", schema @ (Value::Bool(true) | Value::Object(_))) => {
                let place = self.place.child(schema, "additionalProperties");
                object.additional = Additional::Like(vec![place]);
            }
            ("additionalProperties", _) => {
                return self.fail("`additionalProperties` must be a schema");
            }
            _ => {
                return Err(fail(
                    &format!("{}/{key}", self.place.at),
                    "must be an object",
                ));
            }
        }
        Ok(())
    }

    fn array(
        &self,
        key: &str,
        value: &'a Value,
        facets: &mut Facets<'a>,
    ) -> Result<(), SchemaError> {
        let array = &mut facets.array;
        match key {
            "items" if *value == Value::Bool(false) => {
                let prefix = self.map.get("prefixItems").and_then(Value::as_array);
                let prefix = prefix.map_or(0, Vec::len) as u64;
                array.max = Some(array.max.unwrap_or(prefix).min(prefix));
            }
            // Before 2020-12 a list here was what `prefixItems` is now.
            "items" if !value.is_array() => array.items = vec![self.place.child(value, key)],
            "items" if self.map.contains_key("prefixItems") => {
                return self.fail("`items` cannot be a list beside `prefixItems`");
            }
            "items" | "prefixItems" => {
                let list = self.list(key, value)?.iter().enumerate();
                array.prefix = list
                    .map(|(index, item)| vec![self.place.child(item, &format!("{key}/{index}"))])
                    .collect();
            }
            "minItems" => array.min = self.least(key, value)?,
            _ => {
                let max = self.count(key, value)?;
                array.max = Some(array.max.unwrap_or(max).min(max));
            }
        }
        Ok(())
    }

    fn string(&self, key: &str, value: &Value, facets: &mut Facets<'a>) -> Result<(), SchemaError> {
        let string = &mut facets.string;
        match (key, value.as_str()) {
            ("minLength", _) => string.min = self.least(key, value)?,
            ("maxLength", _) => string.max = Some(self.count(key, value)?),
            ("pattern", Some(text)) => {
                if let Err(reason) = pattern::compile(text) {
                    return self.fail(format!("`pattern` {reason}"));
                }
                string.pattern = Some(text.to_owned());
            }
            ("format", Some(name)) if format::NAMES.contains(&name) => {
                string.format = Some(name.to_owned());
            }
            ("format", _) => return self.fail(format!("format {value} is not supported")),
            _ => return self.fail("`pattern` must be a string"),
        }
        Ok(())
    }

    fn number(&self, key: &str, value: &Value, facets: &mut Facets<'a>) -> Result<(), SchemaError> {
        let Value::Number(number) = value else {
            return self.fail(format!("`{key}` must be a number"));
        };
        let decimal = Decimal::parse(number);
        let open = key.starts_with("exclusive");
        let numbers = &mut facets.number;
        match (key, decimal) {
            ("multipleOf", Some(step)) if step.is_positive() => self.step(step, facets),
            ("multipleOf", _) => self.fail(format!("`multipleOf` {value} is not supported")),
            ("minimum" | "exclusiveMinimum", Some(value)) => {
                let bound = Some(Bound { value, open });
                numbers.low = Bound::narrower(numbers.low, bound, |a, b| a > b);
                Ok(())
            }
            (_, Some(value)) => {
                let bound = Some(Bound { value, open });
                numbers.high = Bound::narrower(numbers.high, bound, |a, b| a < b);
                Ok(())
            }
            (_, None) => self.fail(format!("`{key}` {value} has too many digits")),
        }
    }
}

impl<'a> Facets<'a> {
    fn and_values(&mut self, values: Vec<&'a Value>) {
        self.values = match self.values.take() {
            None => Some(values),
            Some(old) => Some(
                old.into_iter()
                    .filter(|value| is_among(value, &values))
                    .collect(),
            ),
        };
    }
}

/// A name as a step of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Whether a keyword constrains nothing.
pub(super) fn is_annotation(key: &str) -> bool {
    ANNOTATIONS.contains(&key) || key.starts_with("x-")
}
