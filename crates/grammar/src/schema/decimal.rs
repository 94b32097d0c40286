//! Numbers with few digits, exactly.

use std::cmp::Ordering;

use serde_json::Number;

use super::facets::Numbers;

/// Digits that a double keeps.
pub const DIGITS_MAX: u32 = 15;

/// A number with few digits: `mantissa` / 10^`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    pub mantissa: i128,
    pub scale: u32,
}

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    pub value: Decimal,
    /// Whether the number itself is outside.
    pub open: bool,
}

impl Bound {
    /// The narrower of two bounds, `narrower` saying which number is.
    pub fn narrower(
        a: Option<Self>,
        b: Option<Self>,
        narrower: impl Fn(Decimal, Decimal) -> bool,
    ) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) if a.value == b.value => Some(Self {
                value: a.value,
                open: a.open || b.open,
            }),
            (Some(a), Some(b)) => Some(if narrower(a.value, b.value) { a } else { b }),
            (a, b) => a.or(b),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let scale = self.scale.max(other.scale);
        Some(self.units(scale).cmp(&other.units(scale)))
    }
}

pub(super) fn ten_to(power: u32) -> i128 {
    10_i128.pow(power)
}

impl Decimal {
    /// Whole numbers are its multiples.
    pub const ONE: Self = Self {
        mantissa: 1,
        scale: 0,
    };

    /// `None` where it has more than [`DIGITS_MAX`] digits, zeros between them and the point included.
    pub fn parse(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits.to_owned(), exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let mut scale = i64::try_from(fraction.len()).ok()? - exponent;
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        if mantissa == 0 {
            scale = 0;
        }
        let max = i64::from(DIGITS_MAX);
        if !(-max..=max).contains(&scale) || mantissa.abs() >= ten_to(DIGITS_MAX) {
            return None;
        }
        let zeros = u32::try_from(-scale).unwrap_or(0);
        let mantissa = mantissa * ten_to(zeros);
        let scale = u32::try_from(scale).unwrap_or(0);
        (mantissa.abs() < ten_to(DIGITS_MAX)).then_some(Self { mantissa, scale })
    }

    pub fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// How often 10^-`scale` goes into it; `scale` is not less than its own.
    pub fn units(self, scale: u32) -> i128 {
        self.mantissa * ten_to(scale - self.scale)
    }

    /// The smallest number that both go into a whole number of times.
    pub fn common_multiple(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.units(scale), other.units(scale));
        let (mut x, mut y) = (a, b);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        let mantissa = (a / x).checked_mul(b)?;
        let reduced = Self { mantissa, scale }.reduced();
        (reduced.mantissa < ten_to(DIGITS_MAX)).then_some(reduced)
    }

    pub fn reduced(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mantissa, scale } = self.reduced();
        let sign = if mantissa < 0 { "-" } else { "" };
        let unit = ten_to(scale);
        let (whole, fraction) = (mantissa.abs() / unit, mantissa.abs() % unit);
        match scale {
            0 => write!(f, "{sign}{whole}"),
            scale => write!(
                f,
                "{sign}{whole}.{fraction:0width$}",
                width = scale as usize
            ),
        }
    }
}

impl Numbers {
    /// Whether `number` is one of them; `None` where it has too many digits to tell.
    pub fn contain(&self, number: &Number) -> Option<bool> {
        if self.is_free() {
            return Some(true);
        }
        let number = Decimal::parse(number)?;
        let low = self.low.is_none_or(|low| match low.open {
            true => number > low.value,
            false => number >= low.value,
        });
        let high = self.high.is_none_or(|high| match high.open {
            true => number < high.value,
            false => number <= high.value,
        });
        let step = self.step.is_none_or(|step| {
            let scale = number.scale.max(step.scale);
            number.units(scale) % step.units(scale) == 0
        });
        Some(low && high && step)
    }

    /// Whether every one of these numbers is outside of `other`'s bounds.
    pub fn apart(&self, other: &Self) -> bool {
        let below = |high: Option<Bound>, low: Option<Bound>| match (high, low) {
            (Some(high), Some(low)) => {
                high.value < low.value || (high.value == low.value && (high.open || low.open))
            }
            _ => false,
        };
        below(self.high, other.low) || below(other.high, self.low)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decimal(value: &Value) -> Decimal {
        match value {
            Value::Number(number) => Decimal::parse(number).unwrap(),
            value => panic!("{value}"),
        }
    }

    #[test]
    fn numbers_with_many_digits_are_not_told_apart() {
        let parse = |text: &str| {
            let number: Number = serde_json::from_str(text).unwrap();
            Decimal::parse(&number).map(|decimal| decimal.to_string())
        };
        assert_eq!(parse("1e3").as_deref(), Some("1000"));
        assert_eq!(parse("-2.50").as_deref(), Some("-2.5"));
        assert_eq!(parse("1e-7").as_deref(), Some("0.0000001"));
        assert_eq!(parse("0.0").as_deref(), Some("0"));
        assert_eq!(parse("999999999999999").as_deref(), Some("999999999999999"));
        assert_eq!(parse("9999999999999999"), None);
        assert_eq!(parse("1e15"), None);
        assert_eq!(parse("1e300"), None);
        assert_eq!(parse("1e-300"), None);
    }

    #[test]
    fn steps_have_common_multiples() {
        let common = |a: Value, b: Value| {
            decimal(&a)
                .common_multiple(decimal(&b))
                .map(|both| both.to_string())
        };
        assert_eq!(common(json!(4), json!(6)).as_deref(), Some("12"));
        assert_eq!(common(json!(1), json!(1.5)).as_deref(), Some("3"));
        assert_eq!(common(json!(0.2), json!(0.01)).as_deref(), Some("0.2"));
        assert_eq!(common(json!(99_999_999), json!(99_999_998)), None);
    }
}
