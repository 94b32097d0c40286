//! Which files a search looks at, by their attributes.
//!
//! A file without the attribute is equal to nothing, and before or after nothing: `ne` and `nin` take it.
//! Invariant: what is judged is bounded: levels, comparisons, and the values of each.

use std::cmp::Ordering;

use serde_json::Value;

use super::attributes::{Attribute, Attributes, check_key};
use crate::ApiError;
use crate::fields::{Fields, too_long};

/// Levels of nesting, the comparisons' own included.
pub const FILTER_DEPTH_MAX: usize = 8;
/// Filters in one, at all levels together.
pub const FILTERS_MAX: usize = 64;
/// Values of one `in` or `nin`.
pub const FILTER_VALUES_MAX: usize = 256;

/// A condition on the attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them hold.
    All(Vec<Filter>),
    /// One of them holds.
    Any(Vec<Filter>),
    /// One attribute is as it is to be.
    Attribute {
        /// The attribute's name.
        key: String,
        /// What it is to be.
        test: Test,
    },
}

/// What an attribute is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// One of these.
    OneOf(Vec<Attribute>),
    /// None of these, or not there.
    NoneOf(Vec<Attribute>),
    /// So to that value: numbers by size, texts by their letters' places in Unicode.
    Ordered {
        /// The orders that will do.
        orders: &'static [Ordering],
        /// The value.
        to: Attribute,
    },
}

impl Filter {
    /// Reads `filters` of a request.
    pub(super) fn read(root: &Fields<'_>) -> Result<Option<Self>, ApiError> {
        let mut left = FILTERS_MAX;
        match root.object("filters")? {
            None => Ok(None),
            Some(filter) => Self::parse(&filter, FILTER_DEPTH_MAX, &mut left).map(Some),
        }
    }

    fn parse(from: &Fields<'_>, levels: usize, left: &mut usize) -> Result<Self, ApiError> {
        *left = left.checked_sub(1).ok_or_else(too_many)?;
        let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
        from.require("type")?;
        match from.text("type")?.unwrap_or_default() {
            "and" => Self::several(from, levels, left).map(Self::All),
            "or" => Self::several(from, levels, left).map(Self::Any),
            kind => Self::comparison(from, kind),
        }
    }

    fn several(from: &Fields<'_>, levels: usize, left: &mut usize) -> Result<Vec<Self>, ApiError> {
        from.require("filters")?;
        let param = from.param("filters");
        let list = from.list("filters", FILTERS_MAX)?.unwrap_or_default();
        if list.is_empty() {
            let message = format!("`{param}` must have at least one entry.");
            return Err(ApiError::invalid_value(param, message));
        }
        let of = |(at, value): (usize, &Value)| {
            Self::parse(&Fields::of(value, format!("{param}[{at}]"))?, levels, left)
        };
        list.iter().enumerate().map(of).collect()
    }

    fn comparison(from: &Fields<'_>, kind: &str) -> Result<Self, ApiError> {
        let test = match kind {
            "eq" => Test::OneOf(vec![one(from)?]),
            "ne" => Test::NoneOf(vec![one(from)?]),
            "in" => Test::OneOf(many(from)?),
            "nin" => Test::NoneOf(many(from)?),
            "gt" => ordered(from, &[Ordering::Greater])?,
            "gte" => ordered(from, &[Ordering::Greater, Ordering::Equal])?,
            "lt" => ordered(from, &[Ordering::Less])?,
            "lte" => ordered(from, &[Ordering::Less, Ordering::Equal])?,
            _ => {
                let param = from.param("type");
                let message = format!(
                    "`{param}` must be one of `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in`, `nin`, `and`, `or`."
                );
                return Err(ApiError::invalid_value(param, message));
            }
        };
        from.require("key")?;
        let key = from.text("key")?.unwrap_or_default().to_owned();
        check_key(&from.param("key"), &key)?;
        Ok(Self::Attribute { key, test })
    }

    /// Whether a file with these attributes is meant.
    pub fn takes(&self, attributes: &Attributes) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.takes(attributes)),
            Self::Any(filters) => filters.iter().any(|filter| filter.takes(attributes)),
            Self::Attribute { key, test } => test.holds(attributes.get(key)),
        }
    }
}

impl Test {
    fn holds(&self, found: Option<&Attribute>) -> bool {
        let stands = |to: &Attribute, orders: &[Ordering]| {
            found
                .and_then(|found| found.compare(to))
                .is_some_and(|order| orders.contains(&order))
        };
        match self {
            Self::OneOf(values) => values.iter().any(|value| stands(value, &[Ordering::Equal])),
            Self::NoneOf(values) => !values.iter().any(|value| stands(value, &[Ordering::Equal])),
            Self::Ordered { orders, to } => stands(to, orders),
        }
    }
}

fn one(from: &Fields<'_>) -> Result<Attribute, ApiError> {
    Attribute::read(from.require("value")?, &from.param("value"))
}

fn many(from: &Fields<'_>) -> Result<Vec<Attribute>, ApiError> {
    let param = from.param("value");
    let Value::Array(list) = from.require("value")? else {
        return Err(ApiError::invalid_type(param, "an array"));
    };
    too_long(&param, list.len(), FILTER_VALUES_MAX)?;
    let values = list.iter().enumerate();
    values
        .map(|(at, value)| Attribute::read(value, &format!("{param}[{at}]")))
        .collect()
}

fn ordered(from: &Fields<'_>, orders: &'static [Ordering]) -> Result<Test, ApiError> {
    match one(from)? {
        Attribute::Flag(_) => {
            let expected = "a number or a string: true is not more than false";
            Err(ApiError::invalid_type(from.param("value"), expected))
        }
        to => Ok(Test::Ordered { orders, to }),
    }
}

fn too_many() -> ApiError {
    let message = format!("`filters` has more than {FILTERS_MAX} filters.");
    ApiError::invalid_value("filters", message)
}

fn too_deep() -> ApiError {
    let message = format!("`filters` has more than {FILTER_DEPTH_MAX} levels.");
    ApiError::invalid_value("filters", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(filters: &Value) -> Result<Option<Filter>, ApiError> {
        let body = json!({ "filters": filters });
        Filter::read(&Fields::root(body.as_object().unwrap()))
    }

    #[track_caller]
    fn check_refused(filters: Value, param: &str) {
        let error = read(&filters).unwrap_err();
        assert_eq!(
            (error.status, error.param.as_deref()),
            (400, Some(param)),
            "{filters}"
        );
    }

    fn comparison(kind: &str, value: Value) -> Value {
        json!({"type": kind, "key": "a", "value": value})
    }

    #[test]
    fn comparisons_judge() {
        #[track_caller]
        fn check(attributes: Value, kind: &str, value: Value, expected: bool) {
            let attributes: Attributes = serde_json::from_value(attributes).unwrap();
            let filter = read(&comparison(kind, value.clone())).unwrap().unwrap();
            assert_eq!(
                filter.takes(&attributes),
                expected,
                "{attributes:?} {kind} {value}"
            );
        }
        let seven = || json!({"a": 7});
        check(seven(), "eq", json!(7.0), true);
        check(seven(), "eq", json!("7"), false);
        check(seven(), "ne", json!(7), false);
        check(seven(), "ne", json!("7"), true);
        check(seven(), "gt", json!(6.5), true);
        check(seven(), "gt", json!(7), false);
        check(seven(), "gte", json!(7), true);
        check(seven(), "lt", json!(7), false);
        check(seven(), "lte", json!(7), true);
        check(seven(), "lt", json!("z"), false);
        check(seven(), "in", json!([1, "x", 7]), true);
        check(seven(), "in", json!([]), false);
        check(seven(), "nin", json!([1, "x", 7]), false);
        check(seven(), "nin", json!([]), true);
        check(json!({"a": "2026-02"}), "gt", json!("2026-01"), true);
        check(json!({"a": true}), "eq", json!(true), true);
        check(json!({"a": true}), "in", json!([false]), false);
        for (kind, value, expected) in [
            ("eq", json!(7), false),
            ("ne", json!(7), true),
            ("gte", json!(7), false),
            ("lt", json!(7), false),
            ("in", json!([7]), false),
            ("nin", json!([7]), true),
        ] {
            check(json!({"b": 7}), kind, value, expected);
        }
    }

    #[test]
    fn filters_are_joined() {
        let filter = json!({"type": "and", "filters": [
            {"type": "eq", "key": "town", "value": "Brellin"},
            {"type": "or", "filters": [
                {"type": "lt", "key": "year", "value": 1900},
                {"type": "eq", "key": "lit", "value": true},
            ]},
        ]});
        let filter = read(&filter).unwrap().unwrap();
        let check = |attributes: Value, expected: bool| {
            let attributes = serde_json::from_value(attributes).unwrap();
            assert_eq!(filter.takes(&attributes), expected, "{attributes:?}");
        };
        check(json!({"town": "Brellin", "year": 1874}), true);
        check(json!({"town": "Brellin", "year": 1974, "lit": true}), true);
        check(json!({"town": "Brellin", "year": 1974}), false);
        check(json!({"year": 1874, "lit": true}), false);
        assert_eq!(read(&Value::Null).unwrap(), None);
    }

    #[test]
    fn bad_filters_are_named() {
        check_refused(json!([]), "filters");
        check_refused(json!({}), "filters.type");
        check_refused(json!({"type": "like"}), "filters.type");
        check_refused(json!({"type": 1}), "filters.type");
        check_refused(json!({"type": "eq", "key": "a"}), "filters.value");
        check_refused(json!({"type": "eq", "value": 1}), "filters.key");
        check_refused(json!({"type": "eq", "key": 1, "value": 1}), "filters.key");
        let long = "x".repeat(65);
        check_refused(
            json!({"type": "eq", "key": long, "value": 1}),
            "filters.key",
        );
        check_refused(comparison("eq", json!([1])), "filters.value");
        check_refused(comparison("eq", json!("x".repeat(513))), "filters.value");
        check_refused(comparison("gt", json!(true)), "filters.value");
        check_refused(comparison("in", json!(1)), "filters.value");
        check_refused(comparison("in", json!([1, null])), "filters.value[1]");
        check_refused(json!({"type": "and"}), "filters.filters");
        check_refused(json!({"type": "or", "filters": []}), "filters.filters");
        check_refused(json!({"type": "or", "filters": [1]}), "filters.filters[0]");
        let inner = json!({"type": "or", "filters": [comparison("eq", json!(1)), {"type": "x"}]});
        check_refused(inner, "filters.filters[1].type");
    }

    #[test]
    fn the_limits_of_filters_are_reached() {
        let values = |count: usize| comparison("in", json!(vec![1; count]));
        assert!(read(&values(FILTER_VALUES_MAX)).is_ok());
        check_refused(values(FILTER_VALUES_MAX + 1), "filters.value");
        let deep = |levels: usize| {
            (1..levels).fold(
                comparison("eq", json!(1)),
                |inner, _| json!({"type": "and", "filters": [inner]}),
            )
        };
        assert!(read(&deep(FILTER_DEPTH_MAX)).is_ok());
        check_refused(deep(FILTER_DEPTH_MAX + 1), "filters");
        let wide = |count: usize| json!({"type": "or", "filters": vec![comparison("eq", json!(1)); count]});
        assert!(read(&wide(FILTERS_MAX - 1)).is_ok());
        check_refused(wide(FILTERS_MAX), "filters");
        check_refused(wide(FILTERS_MAX + 1), "filters.filters");
    }
}
