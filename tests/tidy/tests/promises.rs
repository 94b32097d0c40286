//! docs/safety.md: what is promised is held by tests that exist.

use tidy::read;

const PAGE: &str = "docs/safety.md";

/// A line of the page's tables: what is promised, and what holds it.
struct Promise {
    text: String,
    held_by: String,
}

fn promises() -> Vec<Promise> {
    let page = read(PAGE);
    let rows = page.lines().filter_map(|line| {
        let (text, held_by) = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split_once(" | ")?;
        (text != "Promise").then(|| Promise {
            text: text.to_owned(),
            held_by: held_by.to_owned(),
        })
    });
    rows.collect()
}

/// The tests that a row names, each with its file: ``[`name`](../path)``.
fn tests(held_by: &str) -> Vec<(&str, &str)> {
    let links = held_by.split("[`").skip(1);
    links
        .filter_map(|link| {
            let (name, rest) = link.split_once("`](../")?;
            Some((name, rest.split_once(')')?.0))
        })
        .collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let promises = promises();
    assert!(
        promises.len() > 20,
        "the tables of {PAGE} are not read any more"
    );
    for Promise { text, held_by } in promises {
        let tests = tests(&held_by);
        assert!(
            !tests.is_empty() || held_by.starts_with("not built yet"),
            "nothing holds: {text}"
        );
        for (name, path) in tests {
            let source = read(path);
            let at = source.find(&format!("fn {name}("));
            let at = at.unwrap_or_else(|| panic!("{path} has no `{name}`, which holds: {text}"));
            let above: Vec<&str> = source[..at].lines().rev().take(6).collect();
            let is_test =
                above.iter().any(|line| line.contains("test")) || source.contains("proptest!");
            assert!(is_test, "`{name}` in {path} is no test");
        }
    }
}

#[test]
fn rows_are_read() {
    let row = "[`a_b`](../x/y.rs), [`c`](../z.rs)";
    assert_eq!(tests(row), [("a_b", "x/y.rs"), ("c", "z.rs")]);
    assert_eq!(tests("not built yet: `x`"), []);
}
