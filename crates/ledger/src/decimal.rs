//! Amounts as people write them: `12.50`, exactly, or not at all.

use crate::amount::{AmountError, NanoUnits, NanoUsd};
use std::fmt;
use std::str::FromStr;

/// The longest text that is read, in bytes: more cannot be an amount.
pub const DECIMAL_BYTES_MAX: usize = 32;

/// Digits after the point that count.
const DIGITS: usize = 9;

/// A text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point between them.
    #[error("`{0}` is no amount: write digits, with a point before the fraction, as in 12.50")]
    Form(String),
    /// Finer than can be counted.
    #[error("`{0}` has more than nine digits after the point, and finer is not counted: round it")]
    TooFine(String),
    /// More than an amount can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Reads a decimal number as nano-units.
fn nano(text: &str) -> Result<u128, DecimalError> {
    let form = || DecimalError::Form(text.chars().take(DECIMAL_BYTES_MAX).collect());
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(form()),
        Some(parts) => parts,
        None => (text, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > DECIMAL_BYTES_MAX
        || whole.is_empty()
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return Err(form());
    }
    let counted = fraction.trim_end_matches('0');
    if counted.len() > DIGITS {
        return Err(DecimalError::TooFine(text.to_owned()));
    }
    // At most 31 digits before the point and nine after it: more than a u128 holds is possible.
    format!("{whole}{counted:0<DIGITS$}")
        .parse()
        .map_err(|_| form())
}

macro_rules! decimal {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = DecimalError;

            /// Reads `12.50`: up to nine digits after the point, no sign, no exponent, no separators.
            fn from_str(text: &str) -> Result<Self, DecimalError> {
                Ok(Self::try_from(nano(text)?)?)
            }
        }

        impl $name {
            /// The shortest text that [`FromStr`] reads as the same amount: `12.5`.
            #[must_use]
            pub fn decimal(self) -> impl fmt::Display {
                Decimal(self.get())
            }
        }
    };
}

decimal!(NanoUsd);
decimal!(NanoUnits);

struct Decimal(u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / crate::amount::ONE, self.0 % crate::amount::ONE);
        let fraction = format!("{rest:0DIGITS$}");
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::AMOUNT_MAX;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<u64>) {
        let read = text.parse::<NanoUsd>().ok().map(NanoUsd::get);
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn what_people_write() {
        check("0", Some(0));
        check("12.50", Some(12_500_000_000));
        check("0.000000001", Some(1));
        check("0.0000000010", Some(1));
        check("0.0000000001", None);
        check("9223372036.854775807", Some(AMOUNT_MAX));
        check("9223372036.854775808", None);
        for text in [
            "", ".5", "5.", "-1", "+1", "1e3", "1,5", "1_000", " 1", "1.2.3", "٣", "0x1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn texts_have_a_maximum() {
        check(&"0".repeat(DECIMAL_BYTES_MAX), Some(0));
        check(&"0".repeat(DECIMAL_BYTES_MAX + 1), None);
        check(&"9".repeat(DECIMAL_BYTES_MAX), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(nano in 0..=AMOUNT_MAX) {
            let amount = NanoUsd::new(nano).unwrap();
            prop_assert_eq!(amount.decimal().to_string().parse::<NanoUsd>().unwrap(), amount);
        }
    }
}
