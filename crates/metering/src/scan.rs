//! Finds a value in JSON without rewriting the rest: schemas keep the order of their properties, which models read.

use std::ops::Range;

use memchr::memchr2;

/// Where the value of `name` stands in the object `body`, without the spaces around it. Of several the last, as
/// parsers take it.
///
/// `body` is known to be valid JSON; of anything else the answer may be any range within it.
pub(crate) fn top_level(body: &[u8], name: &str) -> Option<Range<usize>> {
    let (mut at, mut depth, mut found) = (0, 0_usize, None);
    let (mut key, mut value): (Option<Range<usize>>, Option<usize>) = (None, None);
    while let Some(byte) = body.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                at = end_of_text(body, at);
                if depth == 1 && value.is_none() {
                    key = Some(start + 1..at.saturating_sub(1));
                }
            }
            b'{' | b'[' => depth += 1,
            b':' if depth == 1 => value = Some(at),
            b',' | b'}' | b']' => {
                if depth == 1
                    && let (Some(key), Some(from)) = (key.take(), value.take())
                {
                    found = match is_name(&body[key], name) {
                        true => Some(trimmed(body, from..start)),
                        false => found,
                    };
                }
                depth -= usize::from(*byte != b',' && depth > 0);
            }
            _ => {}
        }
    }
    found
}

/// Where the text ends that begins before `at`, its quotation mark included.
fn end_of_text(body: &[u8], mut at: usize) -> usize {
    while let Some(len) = memchr2(b'"', b'\\', body.get(at..).unwrap_or_default()) {
        at += len + 1;
        match body[at - 1] {
            b'"' => return at,
            _ => at += 1,
        }
    }
    body.len()
}

fn is_name(written: &[u8], name: &str) -> bool {
    written == name.as_bytes() || {
        // With escapes in it.
        let quoted = [b"\"", written, b"\""].concat();
        written.contains(&b'\\')
            && serde_json::from_slice::<String>(&quoted).is_ok_and(|read| read == name)
    }
}

fn trimmed(body: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &body[range.clone()];
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    start..start + text.trim_ascii().len()
}
