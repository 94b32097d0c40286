//! The node beside others' servers: one row with a bar, and one for each other server without.

use crate::contender::llama_cpp_server;
use crate::contender::llama_server::BOTH;
use crate::report::{Bar, Section};
use crate::statistics::best;

/// Ours against the better of llama-server's caches in each round, and for orientation against each of them and
/// against llama_cpp.server. `found` gives the values of those who were measured.
pub fn against_llama_server<'a>(
    section: &mut Section,
    what: &str,
    node: &[f64],
    found: impl Fn(&str) -> Option<&'a [f64]>,
    bar: Bar,
) {
    let caches = BOTH
        .iter()
        .filter_map(|cache| Some((cache.words(), found(cache.server_name())?)));
    let caches: Vec<(&str, &[f64])> = caches.collect();
    if !caches.is_empty() {
        let each: Vec<&[f64]> = caches.iter().map(|(_, values)| *values).collect();
        let name = format!("{what}, node : llama-server");
        section.compare(&name, node, &best(&each), bar);
    }
    if caches.len() > 1 {
        for (words, values) in caches {
            let name = format!("{what}, node : llama-server with {words}");
            section.show(&name, node, values);
        }
    }
    if let Some(values) = found(llama_cpp_server::NAME) {
        let name = format!("{what}, node : {}", llama_cpp_server::NAME);
        section.show(&name, node, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_cache_is_the_peer_and_each_is_shown() {
        let found = |who: &str| -> Option<&'static [f64]> {
            match who {
                "llama-server" => Some(&[1.0, 4.0]),
                "llama-server, split cache" => Some(&[2.0, 2.0]),
                "llama_cpp.server" => Some(&[0.5, 0.5]),
                _ => None,
            }
        };
        let mut section = Section::default();
        against_llama_server(&mut section, "speed", &[2.0, 4.0], found, Bar::AtLeast(1.0));
        let rows: Vec<_> = section
            .rows
            .iter()
            .map(|row| (row.name.as_str(), row.found.median, row.bar.is_some()))
            .collect();
        assert_eq!(
            rows,
            [
                ("speed, node : llama-server", 1.0, true),
                (
                    "speed, node : llama-server with one cache for all",
                    1.5,
                    false
                ),
                (
                    "speed, node : llama-server with a cache for each",
                    1.5,
                    false
                ),
                ("speed, node : llama_cpp.server", 6.0, false),
            ]
        );
    }

    #[test]
    fn nobody_there_makes_no_row() {
        let mut section = Section::default();
        against_llama_server(&mut section, "speed", &[1.0], |_| None, Bar::AtLeast(1.0));
        assert!(section.rows.is_empty());
    }
}
