//! What a source file may contain, how it begins, and how long it gets.

use tidy::{files, packages, read, without_tests};

/// Past this many lines a file usually holds two ideas.
const FILE_LINES_MAX: usize = 600;

/// What the pure crates must be given as an argument instead.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "rand::",
];

/// Names that say nothing: a thing without a home has no name yet.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "manager", "misc",
];

fn sources() -> Vec<String> {
    files(".rs")
        .into_iter()
        .filter(|path| path.contains("/src/"))
        .collect()
}

#[test]
fn crates_think_and_touch_nothing() {
    for path in sources().iter().filter(|path| path.starts_with("crates/")) {
        let source = read(path);
        for effect in EFFECTS {
            assert!(
                !without_tests(&source).contains(effect),
                "{path} uses {effect}: take it as an argument"
            );
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for path in sources() {
        assert!(
            read(&path).starts_with("//!"),
            "{path} does not begin with a module doc"
        );
    }
}

#[test]
fn files_hold_one_idea() {
    for path in sources() {
        let lines = without_tests(&read(&path)).lines().count();
        assert!(lines <= FILE_LINES_MAX, "{path} has {lines} lines");
    }
}

#[test]
fn names_say_something() {
    for path in sources() {
        for part in path.trim_end_matches(".rs").split('/') {
            assert!(!EMPTY_NAMES.contains(&part), "{path}: `{part}` is no name");
        }
    }
}

#[test]
fn the_architecture_page_names_every_member() {
    let page = read("docs/ARCHITECTURE.md");
    for package in packages() {
        let named = page.contains(&format!("`{}`", package.folder));
        assert!(
            named,
            "docs/ARCHITECTURE.md does not mention `{}`",
            package.folder
        );
    }
}

#[test]
fn the_readme_names_only_make_targets_that_exist() {
    let makefile = read("Makefile");
    for page in ["README.md", "CONTRIBUTING.md"] {
        let text = read(page);
        let commands = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("make "));
        for target in commands.filter_map(|rest| rest.split_whitespace().next()) {
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{page} says `make {target}`, the Makefile does not know it"
            );
        }
    }
}
