//! Score formulas, from JSON to the engine's expressions.

use qdrant_edge::{Condition, DecayKind, Expression, Formula, GeoPoint, JsonPath};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::StoreError;

/// Expressions inside expressions, at most.
const DEPTH_MAX: usize = 32;

#[derive(Debug, Deserialize)]
pub(crate) struct FormulaInput {
    formula: Value,
    defaults: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Div {
    left: Value,
    right: Value,
    by_zero_default: Option<f32>,
}

#[derive(Deserialize)]
struct Pow {
    base: Value,
    exponent: Value,
}

#[derive(Deserialize)]
struct GeoDistance {
    origin: GeoPoint,
    to: JsonPath,
}

#[derive(Deserialize)]
struct Decay {
    x: Value,
    target: Option<Value>,
    scale: Option<f32>,
    midpoint: Option<f32>,
}

impl FormulaInput {
    pub(crate) fn into_engine(self) -> Result<Formula, StoreError> {
        Ok(Formula {
            formula: expression(self.formula, 0)?,
            defaults: self.defaults.into_iter().flatten().collect(),
        })
    }
}

fn expression(value: Value, depth: usize) -> Result<Expression, StoreError> {
    if depth > DEPTH_MAX {
        return Err(StoreError::Invalid(format!(
            "formula: nested deeper than {DEPTH_MAX}"
        )));
    }
    match value {
        Value::Number(number) => Ok(Expression::Constant(typed(Value::Number(number))?)),
        Value::String(variable) => Ok(Expression::Variable(variable)),
        Value::Object(object) if object.len() == 1 => operation(object, depth + 1),
        other => Ok(Expression::Condition(Box::new(typed::<Condition>(other)?))),
    }
}

fn operation(object: Map<String, Value>, depth: usize) -> Result<Expression, StoreError> {
    let Some((key, value)) = object.into_iter().next() else {
        return Err(StoreError::BadJson("formula: empty expression".to_owned()));
    };
    let one = |value| expression(value, depth).map(Box::new);
    Ok(match key.as_str() {
        "mult" => Expression::Mult(many(value, depth)?),
        "sum" => Expression::Sum(many(value, depth)?),
        "max" => Expression::Max(many(value, depth)?),
        "min" => Expression::Min(many(value, depth)?),
        "neg" => Expression::Neg(one(value)?),
        "abs" => Expression::Abs(one(value)?),
        "sqrt" => Expression::Sqrt(one(value)?),
        "exp" => Expression::Exp(one(value)?),
        "log10" => Expression::Log10(one(value)?),
        "ln" => Expression::Ln(one(value)?),
        "acosh" => Expression::Acosh(one(value)?),
        "datetime" => Expression::Datetime(typed(value)?),
        "datetime_key" => Expression::DatetimeKey(typed(value)?),
        "div" => {
            let div: Div = typed(value)?;
            Expression::Div {
                left: one(div.left)?,
                right: one(div.right)?,
                by_zero_default: div.by_zero_default,
            }
        }
        "pow" => {
            let pow: Pow = typed(value)?;
            Expression::Pow {
                base: one(pow.base)?,
                exponent: one(pow.exponent)?,
            }
        }
        "geo_distance" => {
            let GeoDistance { origin, to } = typed(value)?;
            Expression::GeoDistance { origin, to }
        }
        "exp_decay" => decay(DecayKind::Exp, value, depth)?,
        "gauss_decay" => decay(DecayKind::Gauss, value, depth)?,
        "lin_decay" => decay(DecayKind::Lin, value, depth)?,
        _ => {
            let condition = Value::Object(Map::from_iter([(key, value)]));
            Expression::Condition(Box::new(typed::<Condition>(condition)?))
        }
    })
}

fn many(value: Value, depth: usize) -> Result<Vec<Expression>, StoreError> {
    typed::<Vec<Value>>(value)?
        .into_iter()
        .map(|value| expression(value, depth))
        .collect()
}

fn decay(kind: DecayKind, value: Value, depth: usize) -> Result<Expression, StoreError> {
    let decay: Decay = typed(value)?;
    Ok(Expression::Decay {
        kind,
        x: Box::new(expression(decay.x, depth)?),
        target: decay
            .target
            .map(|target| expression(target, depth).map(Box::new))
            .transpose()?,
        midpoint: decay.midpoint,
        scale: decay.scale,
    })
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::BadJson(format!("formula: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(formula: Value, expected: Option<&str>) {
        let input: FormulaInput = serde_json::from_value(json!({"formula": formula})).unwrap();
        let debug = input
            .into_engine()
            .map(|formula| format!("{:?}", formula.formula));
        match expected {
            Some(expected) => assert!(
                debug.as_ref().is_ok_and(|debug| debug.contains(expected)),
                "{debug:?}"
            ),
            None => assert!(debug.is_err(), "{debug:?}"),
        }
    }

    #[test]
    fn expressions_are_read() {
        check(json!(1.5), Some("Constant(1.5)"));
        check(json!("$score"), Some("Variable"));
        check(
            json!({"sum": ["$score", {"mult": [0.5, {"key": "a", "match": {"value": 1}}]}]}),
            Some("Condition"),
        );
        check(json!({"div": {"left": 1, "right": "x"}}), Some("Div"));
        check(
            json!({"exp_decay": {"x": {"geo_distance": {"origin": {"lat": 1.0, "lon": 2.0}, "to": "place"}}}}),
            Some("GeoDistance"),
        );
        check(json!({"nonsense": 1}), None);
        check(json!([1]), None);
    }

    #[test]
    fn nesting_ends() {
        let nested = (0..DEPTH_MAX + 1).fold(json!(1), |inner, _| json!({"neg": inner}));
        check(nested, None);
    }
}
