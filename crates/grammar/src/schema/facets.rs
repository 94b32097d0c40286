//! What one subschema says, and what several say together.
//!
//! Invariant: a value satisfies merged facets if and only if it satisfies each of them.

use serde_json::Value;

use super::decimal::{Bound, Decimal};
use crate::Kinds;

/// A subschema and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub schema: &'a Value,
    pub at: String,
    /// Levels of nesting, from 1.
    pub depth: usize,
}

impl<'a> Place<'a> {
    /// What tells it from others: equal schemas at two places are two.
    pub fn address(&self) -> usize {
        std::ptr::from_ref(self.schema) as usize
    }

    pub fn child(&self, schema: &'a Value, step: &str) -> Self {
        Self {
            schema,
            at: format!("{}/{step}", self.at),
            depth: self.depth + 1,
        }
    }
}

/// Subschemas that must all hold.
pub(super) type All<'a> = Vec<Place<'a>>;

#[derive(Debug, Clone)]
pub(super) struct Facets<'a> {
    /// What `type` permits; `None` where it does not say.
    pub types: Option<Kinds>,
    /// Kinds that other keywords speak of.
    pub meant: Kinds,
    /// What `enum` and `const` permit.
    pub values: Option<Vec<&'a Value>>,
    pub number: Numbers,
    pub string: Strings,
    pub array: Arrays<'a>,
    pub object: Objects<'a>,
}

impl Default for Facets<'_> {
    fn default() -> Self {
        Self {
            types: None,
            meant: Kinds::NONE,
            values: None,
            number: Numbers::default(),
            string: Strings::default(),
            array: Arrays::default(),
            object: Objects::default(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub low: Option<Bound>,
    pub high: Option<Bound>,
    /// Numbers are multiples of this: 1 = whole numbers.
    pub step: Option<Decimal>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Strings {
    pub min: u64,
    pub max: Option<u64>,
    pub pattern: Option<String>,
    pub format: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Arrays<'a> {
    pub prefix: Vec<All<'a>>,
    /// What the items after the prefix are.
    pub items: All<'a>,
    pub min: u64,
    pub max: Option<u64>,
}

/// Properties that are not listed.
#[derive(Debug, Clone, Default)]
pub(super) enum Additional<'a> {
    /// They may be there, and none is written.
    #[default]
    Silent,
    /// There must be none.
    Forbidden,
    /// They may be there, and are written so.
    Like(All<'a>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Objects<'a> {
    /// In the order in which they are written; `None` where a property must not be there.
    pub properties: Vec<(&'a str, Option<All<'a>>)>,
    pub required: Vec<&'a str>,
    pub additional: Additional<'a>,
}

impl<'a> Facets<'a> {
    /// Takes another one's word as well.
    ///
    /// # Errors
    /// Names the keyword where two cannot be merged.
    pub fn and(&mut self, other: Self) -> Result<(), String> {
        self.types = match (self.types, other.types) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (a, b) => a.or(b),
        };
        self.meant = self.meant.or(other.meant);
        self.values = match (self.values.take(), other.values) {
            (Some(a), Some(b)) => Some(a.into_iter().filter(|value| is_among(value, &b)).collect()),
            (a, b) => a.or(b),
        };
        self.number.and(other.number)?;
        self.string.and(other.string)?;
        self.array.and(other.array);
        self.object.and(other.object);
        Ok(())
    }

    /// How much there is to merge.
    pub fn size(&self) -> usize {
        let object = self.object.properties.len() + self.object.required.len();
        let values = self.values.as_ref().map_or(0, Vec::len);
        8 + object + values + self.array.prefix.len()
    }

    /// The kinds that are written.
    pub fn written(&self) -> Kinds {
        match (self.types, self.meant) {
            (Some(types), _) => types,
            (None, Kinds::NONE) => Kinds::ALL,
            (None, meant) => meant,
        }
    }

    /// The kinds that are valid, whatever the value, and never written.
    pub fn silent(&self) -> Kinds {
        match self.types {
            Some(_) => Kinds::NONE,
            None => Kinds::ALL.without(self.written()),
        }
    }
}

/// Whether `value` is one of `values`: 1 and 1.0 are the same.
pub(super) fn is_among(value: &Value, values: &[&Value]) -> bool {
    values.iter().any(|other| same_value(value, other))
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| same_value(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

impl Numbers {
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    fn and(&mut self, other: Self) -> Result<(), String> {
        self.low = Bound::narrower(self.low, other.low, |a, b| a > b);
        self.high = Bound::narrower(self.high, other.high, |a, b| a < b);
        self.step = match (self.step, other.step) {
            (Some(a), Some(b)) => Some(
                a.common_multiple(b)
                    .ok_or("two `multipleOf` cannot be merged")?,
            ),
            (a, b) => a.or(b),
        };
        Ok(())
    }
}

impl Strings {
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a text has as many characters as it must.
    pub fn fit(&self, text: &str) -> bool {
        let count = text.chars().count() as u64;
        count >= self.min && self.max.is_none_or(|max| count <= max)
    }

    fn and(&mut self, other: Self) -> Result<(), String> {
        self.min = self.min.max(other.min);
        self.max = smaller(self.max, other.max);
        self.pattern = same("pattern", self.pattern.take(), other.pattern)?;
        self.format = same("format", self.format.take(), other.format)?;
        Ok(())
    }
}

fn smaller(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn same(key: &str, a: Option<String>, b: Option<String>) -> Result<Option<String>, String> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(format!("two different `{key}` cannot be merged")),
        (a, b) => Ok(a.or(b)),
    }
}

impl<'a> Arrays<'a> {
    pub fn is_free(&self) -> bool {
        self.prefix.is_empty() && self.items.is_empty() && self.min == 0 && self.max.is_none()
    }

    /// What the item at `index` is.
    pub fn item(&self, index: usize) -> &All<'a> {
        self.prefix.get(index).unwrap_or(&self.items)
    }

    fn and(&mut self, other: Self) {
        let prefix = self.prefix.len().max(other.prefix.len());
        self.prefix = (0..prefix)
            .map(|index| join(self.item(index), other.item(index)))
            .collect();
        self.items = join(&self.items, &other.items);
        self.min = self.min.max(other.min);
        self.max = smaller(self.max, other.max);
    }
}

fn join<'a>(a: &All<'a>, b: &All<'a>) -> All<'a> {
    a.iter().chain(b).cloned().collect()
}

impl<'a> Objects<'a> {
    pub fn is_free(&self) -> bool {
        let silent = match &self.additional {
            Additional::Silent => true,
            Additional::Like(all) => all.is_empty(),
            Additional::Forbidden => false,
        };
        self.properties.is_empty() && self.required.is_empty() && silent
    }

    /// What a property must be: `None` = it must not be there.
    fn word(&self, name: &str) -> Option<All<'a>> {
        let listed = self.properties.iter().find(|(listed, _)| *listed == name);
        match (listed, &self.additional) {
            (Some((_, word)), _) => word.clone(),
            (None, Additional::Silent) => Some(Vec::new()),
            (None, Additional::Forbidden) => None,
            (None, Additional::Like(all)) => Some(all.clone()),
        }
    }

    fn and(&mut self, other: Self) {
        let mut names: Vec<&'a str> = self.properties.iter().map(|(name, _)| *name).collect();
        for (name, _) in &other.properties {
            if !names.contains(name) {
                names.push(name);
            }
        }
        self.properties = names
            .into_iter()
            .map(|name| {
                let word = match (self.word(name), other.word(name)) {
                    (Some(a), Some(b)) => Some(join(&a, &b)),
                    _ => None,
                };
                (name, word)
            })
            .collect();
        for name in other.required {
            if !self.required.contains(&name) {
                self.required.push(name);
            }
        }
        self.additional = match (std::mem::take(&mut self.additional), other.additional) {
            (Additional::Forbidden, _) | (_, Additional::Forbidden) => Additional::Forbidden,
            (Additional::Silent, other) | (other, Additional::Silent) => other,
            (Additional::Like(a), Additional::Like(b)) => Additional::Like(join(&a, &b)),
        };
    }

    /// Lists what is required and not listed; false where it must not be there.
    pub fn list_required(&mut self) -> bool {
        for name in self.required.clone() {
            if !self.properties.iter().any(|(listed, _)| *listed == name) {
                let word = self.word(name);
                self.properties.push((name, word));
            }
        }
        let required = |name: &str| self.required.contains(&name);
        let forbidden = |(name, word): &(&str, Option<All<'a>>)| word.is_none() && required(name);
        !self.properties.iter().any(forbidden)
    }
}
