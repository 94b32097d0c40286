//! Forms with files in them: `multipart/form-data`, as clients upload.
//!
//! Invariant: parts are slices of the body; what a sender calls a file is data and never looked at as a path.

use crate::ApiError;

/// Parts of a form.
pub const PARTS_MAX: usize = 16;
/// Bytes of a part's headers.
const HEAD_BYTES_MAX: usize = 4096;
/// Bytes of a boundary, by RFC 2046.
const BOUNDARY_BYTES_MAX: usize = 70;

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The field.
    pub name: String,
    /// What the sender calls the file, if it is one.
    pub filename: Option<String>,
    /// Its bytes.
    pub body: &'a [u8],
}

/// Takes a body of this content type apart.
///
/// # Errors
/// 400 where it is no form, breaks off, or has too many parts.
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, ApiError> {
    let boundary = boundary(content_type)?;
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    // The first delimiter may stand at the very beginning, without a line before it.
    let first = &delimiter[2..];
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => after(body, &delimiter).ok_or_else(broken)?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let inside = rest.strip_prefix(b"\r\n").ok_or_else(broken)?;
        let (whole, next) = after(inside, &delimiter).ok_or_else(broken)?;
        parts.push(part(whole)?);
        if parts.len() > PARTS_MAX {
            let message = format!("The form has more than {PARTS_MAX} parts.");
            return Err(ApiError::malformed_body(message));
        }
        rest = next;
    }
    Ok(parts)
}

fn boundary(content_type: &str) -> Result<&str, ApiError> {
    let mut parameters = content_type.split(';').map(str::trim);
    let is_form = parameters
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data"));
    let boundary = parameters.find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.eq_ignore_ascii_case("boundary")
            .then(|| value.trim_matches('"'))
    });
    boundary
        .filter(|boundary| is_form && (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()))
        .ok_or_else(|| {
            ApiError::malformed_body("The body must be `multipart/form-data` with a boundary.")
        })
}

fn part(bytes: &[u8]) -> Result<Part<'_>, ApiError> {
    // A part without headers begins with the empty line that ends them.
    let (head, body) = match bytes.strip_prefix(b"\r\n") {
        Some(body) => (&bytes[..0], body),
        None => after(bytes, b"\r\n\r\n").ok_or_else(broken)?,
    };
    if head.len() > HEAD_BYTES_MAX {
        let message = format!("A part's headers are larger than {HEAD_BYTES_MAX} bytes.");
        return Err(ApiError::malformed_body(message));
    }
    let head = String::from_utf8_lossy(head);
    let disposition = head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    });
    let (mut name, mut filename) = (None, None);
    for (key, value) in parameters(disposition.unwrap_or_default()) {
        match key.as_str() {
            "name" => name = Some(value),
            "filename" => filename = Some(value),
            _ => {}
        }
    }
    Ok(Part {
        name: name.ok_or_else(|| ApiError::malformed_body("A part of the form has no name."))?,
        filename,
        body,
    })
}

/// The parameters behind a header's first word: `form-data; name="a"; filename="b;c"`.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((_, next)) = rest.split_once(';') {
        let Some((key, value)) = next.split_once('=') else {
            break;
        };
        let (value, after) = value_of(value);
        found.push((key.trim().to_ascii_lowercase(), value));
        rest = after;
    }
    found
}

/// A value, quoted or not, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

/// What stands before and after the first `needle`.
fn after<'a>(bytes: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)?;
    Some((&bytes[..at], &bytes[at + needle.len()..]))
}

fn broken() -> ApiError {
    ApiError::malformed_body("The form breaks off.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (disposition, bytes) in parts {
            body.extend(b"--XX\r\n");
            body.extend(format!("Content-Disposition: form-data; {disposition}\r\n").bytes());
            body.extend(b"Content-Type: text/plain\r\n\r\n");
            body.extend_from_slice(bytes);
            body.extend(b"\r\n");
        }
        body.extend(b"--XX--\r\n");
        body
    }

    #[test]
    fn files_and_fields_come_out() {
        let body = form(&[
            ("name=\"purpose\"", b"assistants"),
            (
                "name=\"file\"; filename=\"a; \\\"b\\\".md\"",
                b"# One\r\n--X\r\n",
            ),
            ("NAME=x; filename=y", b""),
        ]);
        let part = |name: &str, filename: Option<&str>, body: &'static [u8]| Part {
            name: name.to_owned(),
            filename: filename.map(str::to_owned),
            body,
        };
        let expected = vec![
            part("purpose", None, b"assistants"),
            part("file", Some("a; \"b\".md"), b"# One\r\n--X\r\n"),
            part("x", Some("y"), b""),
        ];
        assert_eq!(parse(TYPE, &body), Ok(expected.clone()));
        let quoted = "Multipart/Form-Data; charset=utf-8; boundary=\"XX\"";
        let before = [b"preamble\r\n".as_slice(), &body].concat();
        assert_eq!(parse(quoted, &before), Ok(expected));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let whole = form(&[("name=a", b"x")]);
        for kind in [
            "",
            "application/json",
            "multipart/form-data",
            "multipart/mixed; boundary=XX",
        ] {
            assert!(parse(kind, &whole).is_err(), "{kind}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        assert!(parse(&long, &whole).is_err());
        for cut in 0..whole.len() - 4 {
            assert!(parse(TYPE, &whole[..cut]).is_err(), "{cut}");
        }
        assert!(parse(TYPE, &form(&[("nothing", b"x")])).is_err());
        assert!(parse(TYPE, b"--XX\r\n\r\nx\r\n--XX--").is_err());
    }

    #[test]
    fn each_limit_is_reached() {
        let many = vec![("name=a", b"x".as_slice()); PARTS_MAX];
        assert!(parse(TYPE, &form(&many)).is_ok());
        let more = vec![("name=a", b"x".as_slice()); PARTS_MAX + 1];
        assert!(parse(TYPE, &form(&more)).is_err());
        let long = format!("name=a; filename={}", "x".repeat(HEAD_BYTES_MAX));
        assert!(parse(TYPE, &form(&[(&long, b"x")])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _either = parse(TYPE, &bytes);
        }

        #[test]
        fn what_was_put_in_comes_out(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4)) {
            let parts: Vec<(&str, &[u8])> = bodies.iter().map(|body| ("name=a", body.as_slice())).collect();
            let form = form(&parts);
            let got: Vec<Vec<u8>> = parse(TYPE, &form).unwrap().iter().map(|part| part.body.to_vec()).collect();
            prop_assert_eq!(got, bodies);
        }
    }
}
