//! Why a caller with or without a key is sent away, in the API's shape.

use gaia_openai::ApiError;

use super::record::Scope;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No key was shown.
    NoKey,
    /// No such key. Which part of it is wrong is nobody's business.
    UnknownKey,
    /// The key is right and its time is over: told only to who has the whole key.
    Expired,
    /// The key does not open this.
    NoScope(Scope),
    /// Too many requests in a minute.
    Rate {
        /// Until the next one.
        seconds: u32,
    },
    /// Too many tokens in a day.
    Tokens {
        /// What the request may take.
        wanted: u64,
        /// What is left of the day's.
        left: u64,
        /// Until the next day.
        seconds: u32,
    },
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let unauthorized = |message: &str| Self {
            message: message.to_owned(),
            ..Self::invalid_api_key()
        };
        match refusal {
            Refusal::NoKey => unauthorized(
                "This node asks for an API key. Send it as `Authorization: Bearer YOUR_KEY`.",
            ),
            Refusal::UnknownKey => unauthorized("Incorrect API key."),
            Refusal::Expired => unauthorized("This API key has expired."),
            Refusal::NoScope(scope) => {
                let message = format!("This API key lacks the scope `{scope}`, which this needs.");
                Self {
                    code: Some("insufficient_scope".to_owned()),
                    ..Self::forbidden(message)
                }
            }
            Refusal::Rate { seconds } => Self {
                message: format!(
                    "This API key has used up its requests for the minute. Please try again in {seconds} s."
                ),
                code: Some("requests_per_minute_exceeded".to_owned()),
                ..Self::too_many_requests(seconds)
            },
            Refusal::Tokens {
                wanted,
                left,
                seconds,
            } => Self {
                message: format!(
                    "This request may take {wanted} tokens, and this API key has {left} left today (UTC). \
                     Ask for fewer with `max_tokens`, or try again in {seconds} s."
                ),
                code: Some("tokens_per_day_exceeded".to_owned()),
                ..Self::too_many_requests(seconds)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_helps_and_no_more() {
        let check = |refusal: Refusal, status, code: &str, retry, said: &str| {
            let error = ApiError::from(refusal);
            assert_eq!(error.status, status);
            assert_eq!(error.code.as_deref(), Some(code));
            assert_eq!(error.retry_after_seconds, retry);
            assert!(error.message.contains(said), "{}", error.message);
        };
        let key = "invalid_api_key";
        check(Refusal::NoKey, 401, key, None, "Authorization: Bearer");
        check(Refusal::UnknownKey, 401, key, None, "Incorrect");
        check(Refusal::Expired, 401, key, None, "expired");
        check(
            Refusal::NoScope(Scope::Knowledge),
            403,
            "insufficient_scope",
            None,
            "`knowledge`",
        );
        check(
            Refusal::Rate { seconds: 7 },
            429,
            "requests_per_minute_exceeded",
            Some(7),
            "minute",
        );
        let tokens = Refusal::Tokens {
            wanted: 9,
            left: 4,
            seconds: 60,
        };
        check(
            tokens,
            429,
            "tokens_per_day_exceeded",
            Some(60),
            "has 4 left today",
        );
    }
}
