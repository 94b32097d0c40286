//! How large a request's head may be.

use crate::ApiError;

/// Bytes of path and headers, names and values, that a request may have.
///
/// A server has to have room for more than this, or it refuses by itself and without a word; and has to count,
/// because its buffer is no limit: it grows by whole reads.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Refuses a head of more than `bytes_max` bytes.
///
/// # Errors
/// 431.
pub fn check_head<'a>(
    path: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    bytes_max: usize,
) -> Result<(), ApiError> {
    let headers = headers.into_iter();
    let sizes = headers.map(|(name, value)| name.len().saturating_add(value.len()));
    let total = sizes.fold(path.len(), usize::saturating_add);
    match total > bytes_max {
        true => Err(ApiError::head_too_large(bytes_max as u64)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_names_and_values_count() {
        let check = |path: &str, headers: &[(&str, &[u8])], expected: Option<u16>| {
            let got = check_head(path, headers.iter().copied(), 10);
            let status = got.err().map(|error| error.status);
            assert_eq!(status, expected, "{path} {headers:?}");
        };
        check("/", &[], None);
        check("/23456789a", &[], None);
        check("/23456789ab", &[], Some(431));
        check("/", &[("host", b"abcde")], None);
        check("/", &[("host", b"abcdef")], Some(431));
        check("/", &[("a", b"bcde"), ("a", b"bcde")], Some(431));
    }
}
