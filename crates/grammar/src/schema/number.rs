//! Numbers between bounds, digit by digit.
//!
//! Numbers have at most [`DIGITS_MAX`] digits before and [`DIGITS_MAX`] after the point, and near a bound
//! no more than that together: so many a double tells apart, and a validator that computes in doubles
//! agrees with what was written digit by digit.

use super::decimal::{DIGITS_MAX, Decimal, ten_to};
use super::facets::Numbers;
use super::trie;
use crate::{Builder, Expression};

/// Multiples that are listed one by one.
pub const MULTIPLES_MAX: i128 = 1000;

/// The largest step whose multiples are recognised by their remainder.
pub const STEP_MAX: i128 = 100;

/// Digits of a number that is recognised by its remainder.
const MULTIPLE_DIGITS: u32 = 9;

fn digits(min: u32, max: u32) -> Expression {
    Expression::repeat(Expression::range('0', '9'), min, Some(max))
}

/// 0, or digits that do not begin with 0.
fn whole() -> Expression {
    Expression::choice([
        Expression::literal("0"),
        Expression::sequence([Expression::range('1', '9'), digits(0, DIGITS_MAX - 1)]),
    ])
}

/// Any number.
pub(super) fn any() -> Expression {
    let fraction = Expression::sequence([Expression::literal("."), digits(1, DIGITS_MAX)]);
    let exponent = Expression::sequence([
        Expression::one_of("eE"),
        Expression::optional(Expression::one_of("+-")),
        digits(1, 2),
    ]);
    Expression::sequence([
        Expression::optional(Expression::literal("-")),
        whole(),
        Expression::optional(fraction),
        Expression::optional(exponent),
    ])
}

/// The numbers that `numbers` permits; `None` where there is none.
///
/// # Errors
/// Names the keyword that cannot be held to.
pub(super) fn write(
    builder: &mut Builder,
    numbers: &Numbers,
) -> Result<Option<Expression>, String> {
    if numbers.is_free() {
        return Ok(Some(any()));
    }
    let range = |scale| range(numbers, scale);
    match numbers.step {
        None => Ok(range(fraction_digits(numbers))),
        Some(step) if step.reduced().mantissa == 1 => Ok(range(step.reduced().scale)),
        Some(step) => multiples(builder, numbers, step),
    }
}

/// Digits after the point that leave a double able to tell the numbers near the bounds apart.
fn fraction_digits(numbers: &Numbers) -> u32 {
    let bounds = [numbers.low, numbers.high].into_iter().flatten();
    let whole = bounds.map(|bound| {
        let whole = bound.value.mantissa.abs() / ten_to(bound.value.scale);
        whole.to_string().len() as u32
    });
    DIGITS_MAX.saturating_sub(whole.max().unwrap_or(1))
}

/// Counts of 10^-`scale` from the low bound to the high one, both included.
fn units(numbers: &Numbers, scale: u32) -> (i128, i128) {
    // Of multiples all digits count: only with so many does a double keep them.
    let fraction = if numbers.step.is_some() { 0 } else { scale };
    let most = ten_to(DIGITS_MAX + fraction) - 1;
    let low = numbers.low.map_or(-most, |low| {
        let fine = scale.max(low.value.scale);
        let (units, unit) = (low.value.units(fine), ten_to(fine - scale));
        let exact = units.rem_euclid(unit) == 0;
        let up = i128::from(!exact || low.open);
        units.div_euclid(unit) + up
    });
    let high = numbers.high.map_or(most, |high| {
        let fine = scale.max(high.value.scale);
        let (units, unit) = (high.value.units(fine), ten_to(fine - scale));
        let exact = units.rem_euclid(unit) == 0;
        units.div_euclid(unit) - i128::from(exact && high.open)
    });
    (low, high)
}

fn range(numbers: &Numbers, scale: u32) -> Option<Expression> {
    let (low, high) = units(numbers, scale);
    let mut ways = Vec::new();
    if high >= 0 && low <= high {
        ways.extend(positive(low.max(0), high, scale));
    }
    if low < 0 && low <= high {
        let minus = Expression::literal("-");
        let rest = Expression::choice(positive((-high).max(1), -low, scale));
        ways.push(Expression::sequence([minus, rest]));
    }
    (!ways.is_empty()).then(|| Expression::choice(ways))
}

/// Numbers from `low` to `high` in units of 10^-`scale`, neither below 0.
fn positive(low: i128, high: i128, scale: u32) -> Vec<Expression> {
    let unit = ten_to(scale);
    let (low_whole, low_rest) = (low / unit, low % unit);
    let (high_whole, high_rest) = (high / unit, high % unit);
    let at = |whole: i128, from: i128, to: i128| {
        let whole = Expression::literal(whole.to_string());
        Expression::sequence([whole, fraction(from, to, scale)])
    };
    if low_whole == high_whole {
        return vec![at(low_whole, low_rest, high_rest)];
    }
    let mut ways = Vec::new();
    let (mut from, mut to) = (low_whole, high_whole);
    if low_rest > 0 {
        ways.push(at(low_whole, low_rest, unit - 1));
        from += 1;
    }
    if high_rest < unit - 1 {
        ways.push(at(high_whole, 0, high_rest));
        to -= 1;
    }
    if from <= to {
        let between = Expression::choice(wholes(from, to));
        ways.push(Expression::sequence([
            between,
            fraction(0, unit - 1, scale),
        ]));
    }
    ways
}

/// Whole numbers from `low` to `high`, neither below 0.
fn wholes(low: i128, high: i128) -> Vec<Expression> {
    let mut ways = Vec::new();
    let mut from = low;
    while from <= high {
        let length = from.to_string().len() as u32;
        let to = high.min(ten_to(length) - 1);
        ways.extend(same_length(&from.to_string(), &to.to_string()));
        from = to + 1;
    }
    ways
}

/// Digits between two texts of as many digits.
fn same_length(low: &str, high: &str) -> Vec<Expression> {
    let rest = |from: usize| {
        let count = (low.len() - from) as u32;
        digits(count, count)
    };
    let step = |prefix: &str, from: u8, to: u8| {
        (from <= to).then(|| {
            Expression::sequence([
                Expression::literal(prefix),
                Expression::range(char::from(from), char::from(to)),
                rest(prefix.len() + 1),
            ])
        })
    };
    let (a, b) = (low.as_bytes(), high.as_bytes());
    let Some(split) = a.iter().zip(b).position(|(a, b)| a != b) else {
        return vec![Expression::literal(low)];
    };
    let mut ways = Vec::new();
    // Where nothing but nines or zeros follows, the edge is like what is between.
    let low_free = a[split + 1..].iter().all(|digit| *digit == b'0');
    let high_free = b[split + 1..].iter().all(|digit| *digit == b'9');
    let from = if low_free { a[split] } else { a[split] + 1 };
    let to = if high_free { b[split] } else { b[split] - 1 };
    ways.extend(step(&low[..split], from, to));
    if !low_free {
        let last = a.len() - 1;
        for index in split + 1..last {
            ways.extend(step(&low[..index], a[index] + 1, b'9'));
        }
        ways.extend(step(&low[..last], a[last], b'9'));
    }
    if !high_free {
        let last = b.len() - 1;
        for index in split + 1..last {
            ways.extend(step(&high[..index], b'0', b[index].saturating_sub(1)));
        }
        ways.extend(step(&high[..last], b'0', b[last]));
    }
    ways
}

/// A point and digits, or nothing where that is within: from `low` to `high` in units of 10^-`scale`.
fn fraction(low: i128, high: i128, scale: u32) -> Expression {
    if scale == 0 {
        return Expression::empty();
    }
    if low == 0 && high == ten_to(scale) - 1 {
        let some = Expression::sequence([Expression::literal("."), digits(1, scale)]);
        return Expression::optional(some);
    }
    let width = scale as usize;
    let (low_text, high_text) = (format!("{low:0width$}"), format!("{high:0width$}"));
    let point = Expression::literal(".");
    let ways = Expression::choice(beginnings(&low_text, &high_text));
    let some = Expression::sequence([point, ways]);
    match low {
        0 => Expression::optional(some),
        _ => some,
    }
}

/// One to so many digits which, with zeros added until there are as many as there are in `low` and in `high`,
/// are between the two.
fn beginnings(low: &str, high: &str) -> Vec<Expression> {
    let length = low.len();
    let (a, b) = (low.as_bytes(), high.as_bytes());
    let Some(split) = a.iter().zip(b).position(|(a, b)| a != b) else {
        return vec![exactly(low)];
    };
    let step = |prefix: &str, from: u8, to: u8| {
        let rest = (length - prefix.len() - 1) as u32;
        (from <= to).then(|| {
            Expression::sequence([
                Expression::literal(prefix),
                Expression::range(char::from(from), char::from(to)),
                digits(0, rest),
            ])
        })
    };
    let mut ways = vec![exactly(low), exactly(high)];
    ways.extend(step(&low[..split], a[split] + 1, b[split] - 1));
    for index in split + 1..length {
        ways.extend(step(&low[..index], a[index] + 1, b'9'));
        ways.extend(step(&high[..index], b'0', b[index] - 1));
        if b[index..].iter().any(|digit| *digit != b'0') {
            ways.push(Expression::literal(&high[..index]));
        }
    }
    ways
}

/// These digits, as many or as few zeros at their end as one likes.
fn exactly(text: &str) -> Expression {
    let length = text.len() as u32;
    let zero = Expression::literal("0");
    match text.trim_end_matches('0') {
        "" => Expression::repeat(zero, 1, Some(length)),
        digits => {
            let zeros = Expression::repeat(zero, 0, Some(length - digits.len() as u32));
            Expression::sequence([Expression::literal(digits), zeros])
        }
    }
}

fn multiples(
    builder: &mut Builder,
    numbers: &Numbers,
    step: Decimal,
) -> Result<Option<Expression>, String> {
    let refused = || Err("`multipleOf` is not supported with these bounds".to_owned());
    let (low, high) = units(numbers, step.scale);
    let (first, last) = (
        -((-low).div_euclid(step.mantissa)),
        high.div_euclid(step.mantissa),
    );
    if last.saturating_sub(first) < MULTIPLES_MAX {
        let texts = (first..=last).map(|times| {
            let mantissa = times * step.mantissa;
            let scale = step.scale;
            Decimal { mantissa, scale }.to_string()
        });
        let texts: Vec<String> = texts.collect();
        return Ok((!texts.is_empty()).then(|| trie::write(builder, texts)));
    }
    if step.scale > 0 || step.mantissa > STEP_MAX || numbers.high.is_some() {
        return refused();
    }
    let positive = remainders(builder, step.mantissa);
    let zero = Expression::literal("0");
    match low {
        // The first multiple is the step itself.
        low if first == 1 && low > 0 => Ok(Some(positive)),
        0 => Ok(Some(Expression::choice([zero, positive]))),
        _ if numbers.low.is_none() => {
            let minus = Expression::optional(Expression::literal("-"));
            let signed = Expression::sequence([minus, positive]);
            Ok(Some(Expression::choice([zero, signed])))
        }
        _ => refused(),
    }
}

/// Positive multiples of `step`: a rule for each remainder and number of digits left.
fn remainders(builder: &mut Builder, step: i128) -> Expression {
    let mut after: Vec<Option<Expression>> = (0..step)
        .map(|rest| (rest == 0).then(Expression::empty))
        .collect();
    for left in 1..=MULTIPLE_DIGITS {
        let first = left == MULTIPLE_DIGITS;
        let ways = |rest: i128| {
            let from = u8::from(first);
            let mut ways: Vec<Expression> = Vec::new();
            for digit in from..10 {
                let next = (rest * 10 + i128::from(digit)) % step;
                let next = usize::try_from(next)
                    .ok()
                    .and_then(|next| after[next].clone());
                let digit = Expression::literal(digit.to_string());
                ways.extend(next.map(|next| Expression::sequence([digit, next])));
            }
            if rest == 0 && !first {
                ways.push(Expression::empty());
            }
            (!ways.is_empty()).then(|| Expression::choice(ways))
        };
        if first {
            return ways(0).unwrap_or(Expression::empty());
        }
        let next: Vec<Option<Expression>> = (0..step).map(ways).collect();
        after = next
            .into_iter()
            .map(|body| body.map(|body| builder.rule("multiple", body)))
            .collect();
    }
    Expression::empty()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Grammar;
    use crate::schema::decimal::Bound;

    fn decimal(value: &Value) -> Decimal {
        match value {
            Value::Number(number) => Decimal::parse(number).unwrap(),
            value => panic!("{value}"),
        }
    }

    fn grammar(low: Value, high: Value, scale: u32) -> Option<Grammar> {
        let bound = |value: Value| {
            (!value.is_null()).then(|| Bound {
                value: decimal(&value),
                open: false,
            })
        };
        let numbers = Numbers {
            low: bound(low),
            high: bound(high),
            step: None,
        };
        let root = range(&numbers, scale)?;
        Some(Builder::new().finish(root).unwrap())
    }

    /// Numbers with up to three digits before and two after the point.
    fn small() -> impl Iterator<Item = (String, f64)> {
        (-12_999..=12_999i32).flat_map(|hundredths| {
            let value = f64::from(hundredths) / 100.0;
            let mut texts = vec![format!("{value:.2}")];
            if hundredths % 10 == 0 {
                texts.push(format!("{value:.1}"));
            }
            if hundredths % 100 == 0 {
                texts.push(format!("{value:.0}"));
            }
            texts.into_iter().map(move |text| (text, value))
        })
    }

    #[track_caller]
    fn check(low: Value, high: Value) {
        let grammar = grammar(low.clone(), high.clone(), 2).unwrap();
        let low = low.as_f64().unwrap_or(f64::MIN);
        let high = high.as_f64().unwrap_or(f64::MAX);
        for (text, value) in small() {
            // Zero has no sign.
            let inside = low <= value && value <= high && !text.starts_with("-0.00");
            let inside = inside && !matches!(text.as_str(), "-0" | "-0.0");
            assert_eq!(grammar.accepts(&text), inside, "{text} in {low}..{high}");
        }
    }

    #[test]
    fn exactly_numbers_within_bounds_are_written() {
        check(json!(0), json!(0));
        check(json!(3), json!(3));
        check(json!(0.25), json!(0.25));
        check(json!(-17.5), json!(123.45));
        check(json!(9.99), json!(10.01));
        check(json!(-0.5), json!(-0.05));
        check(json!(99), json!(120));
        check(json!(7), Value::Null);
        check(Value::Null, json!(-7.3));
    }

    #[test]
    fn no_number_is_between_bounds_that_cross() {
        assert!(grammar(json!(3), json!(2), 2).is_none());
        assert!(grammar(json!(0.001), json!(0.002), 2).is_none());
    }

    #[test]
    fn multiples_are_recognised_by_their_remainder() {
        let mut builder = Builder::new();
        let numbers = Numbers {
            step: Some(decimal(&json!(7))),
            ..Numbers::default()
        };
        let root = write(&mut builder, &numbers).unwrap().unwrap();
        let grammar = builder.finish(root).unwrap();
        for number in -300..=300 {
            assert_eq!(
                grammar.accepts(&number.to_string()),
                number % 7 == 0,
                "{number}"
            );
        }
        assert!(!grammar.accepts("-0") && !grammar.accepts("07"));
    }
}
