//! What the model calls a server's tool: `server__tool`.
//!
//! Invariant: a name that a model can call, and the same name for the same tool every time.

use gaia_outbound::NAME_BYTES_MAX;

/// Between a server's name and its tool's.
const BETWEEN: &str = "__";
/// Digits of the sum that stands for what was cut off a long name.
const SUM_DIGITS: usize = 8;

/// The name of the tool that `server` calls `own`.
pub(crate) fn joined(server: &str, own: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let tame = own.chars().map(|c| if allowed(c) { c } else { '_' });
    let mut name: String = format!("{server}{BETWEEN}").chars().chain(tame).collect();
    if name.len() > NAME_BYTES_MAX {
        name.truncate(NAME_BYTES_MAX - SUM_DIGITS);
        name.push_str(&format!("{:08x}", sum(own)));
    }
    name
}

/// The server that `name` names, if it names a server's tool at all.
pub(crate) fn server_of(name: &str) -> Option<&str> {
    let (server, tool) = name.split_once(BETWEEN)?;
    (!server.is_empty() && !tool.is_empty()).then_some(server)
}

/// FNV-1a: the same in every version and on every machine.
fn sum(text: &str) -> u32 {
    let step = |sum: u32, byte: u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use gaia_outbound::is_name;

    use super::*;

    fn check(server: &str, own: &str, expected: &str) {
        let name = joined(server, own);
        assert_eq!(name, expected);
        assert!(is_name(&name), "{name}");
        assert_eq!(server_of(&name), Some(server));
    }

    #[test]
    fn names_are_joined_and_tamed() {
        check("news", "search", "news__search");
        check("news", "a.b/c d\u{e9}\n", "news__a_b_c_d__");
        check("news", "__x", "news____x");
        assert_eq!(server_of("search"), None);
        assert_eq!(server_of("__search"), None);
        assert_eq!(server_of("news__"), None);
    }

    #[test]
    fn long_names_stay_apart() {
        let long = |end: &str| joined("news", &format!("{}{end}", "x".repeat(80)));
        assert_eq!(long("a").len(), NAME_BYTES_MAX);
        assert_ne!(long("a"), long("b"));
        assert!(is_name(&long("a")));
        let fits = "x".repeat(NAME_BYTES_MAX - "news__".len());
        assert_eq!(joined("news", &fits), format!("news__{fits}"));
    }
}
