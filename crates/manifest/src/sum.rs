//! A SHA-256 sum as a value of its own, so that it is never mixed up with other text.

use std::fmt;
use std::str::FromStr;

/// A SHA-256 sum.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 sum is 64 hexadecimal digits")]
pub struct ParseSumError;

impl FromStr for Sha256 {
    type Err = ParseSumError;

    fn from_str(text: &str) -> Result<Self, ParseSumError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(ParseSumError);
        }
        let mut sum = [0; 32];
        for (byte, &[high, low]) in sum.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(sum))
    }
}

fn digit(character: u8) -> Result<u8, ParseSumError> {
    let digit = char::from(character).to_digit(16).ok_or(ParseSumError)?;
    u8::try_from(digit).map_err(|_| ParseSumError)
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
        let sum: Sha256 = text.parse().unwrap();
        assert_eq!(sum.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(sum));
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &text.replace('b', "g"),
            &"é".repeat(32),
        ] {
            assert_eq!(wrong.parse::<Sha256>(), Err(ParseSumError), "{wrong}");
        }
    }
}
