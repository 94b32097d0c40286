//! Manifests, good and bad.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use gaia_manifest::{
    Kind, MANIFEST_BYTES_MAX, Manifest, Package, Precision, SOURCE_COUNT_MAX, Source,
};

const GOOD: &str = r#"
name = "tiny-1b"
kind = "chat"
description = "A model for tests."
licence = "MIT"
file = "Tiny-1B.Q4_0.gguf"
size = 1_000
context = 4096
parameters = 1_000_000
quantisation = "Q4_0"
memory = 2_000

[[source]]
path = "~/models/tiny.gguf"

[[source]]
url = "https://example.org/tiny.gguf"

[[source]]
package = "tiny-model==1.0"
member = "tiny_model/tiny.gguf"

[[source]]
package = "tiny-model==1.0"
member = "tiny_model/tiny.gguf"
requantise = "q8_0"

[[source]]
package = "tiny-model==1.0"
convert = "bert-q8_0"
folder = "tiny_model/files"
"#;

#[test]
fn reads_every_kind_of_source_in_order() {
    let manifest = Manifest::parse(GOOD).unwrap();
    let package = Package {
        name: "tiny-model".to_owned(),
        version: "1.0".to_owned(),
    };
    assert_eq!(manifest.kind, Kind::Chat);
    assert!(manifest.auto);
    assert_eq!(
        manifest.sources,
        [
            Source::File {
                path: "~/models/tiny.gguf".to_owned()
            },
            Source::Url {
                url: "https://example.org/tiny.gguf".to_owned()
            },
            Source::Package {
                package: package.clone(),
                member: "tiny_model/tiny.gguf".to_owned()
            },
            Source::Requantisation {
                package: package.clone(),
                member: "tiny_model/tiny.gguf".to_owned()
            },
            Source::Conversion {
                package,
                folder: "tiny_model/files".to_owned(),
                precision: Precision::Q8_0
            },
        ]
    );
}

/// Changes the good manifest and tells what is then wrong with it.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from}");
    let error = Manifest::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn knows_what_models_are_for() {
    for kind in [Kind::Chat, Kind::Embedding, Kind::Reranking] {
        let written = format!("\"{}\"", kind.name());
        let manifest = Manifest::parse(&GOOD.replacen("\"chat\"", &written, 1));
        assert_eq!(manifest.unwrap().kind, kind);
    }
}

#[test]
fn names_what_is_wrong() {
    let name = "`name` must be lower-case letters, digits, `-` and `.`, at most 64";
    check("\"tiny-1b\"", "\"Tiny 1B\"", name);
    check("\"tiny-1b\"", "\"../x\"", name);
    check("\"tiny-1b\"", &format!("\"{}\"", "x".repeat(65)), name);
    check("name = \"tiny-1b\"", "", "`name` is missing");
    check(
        "\"tiny-1b\"",
        "7",
        "`name` must be a text, it is an integer",
    );
    check(
        "\"chat\"",
        "\"talk\"",
        "`kind` must be `chat`, `embedding` or `reranking`",
    );
    check("\"MIT\"", "\" \"", "`licence` is empty");
    let file = "`file` must be a file name without a folder that ends in `.gguf`";
    check("Tiny-1B.Q4_0.gguf", "a/b.gguf", file);
    check("Tiny-1B.Q4_0.gguf", ".gguf", file);
    check("Tiny-1B.Q4_0.gguf", "tiny.bin", file);
    check(
        "Tiny-1B.Q4_0.gguf",
        &format!("{}.gguf", "x".repeat(124)),
        file,
    );
    check(
        "1_000\n",
        "-5\n",
        "`size` must be a whole number above zero",
    );
    check("memory = 2_000", "", "`memory` is missing");
    check(
        "memory",
        "sha256 = \"12\"\nmemory",
        "`sha256` is wrong: a SHA-256 sum is 64 hexadecimal digits",
    );
    check(
        "memory",
        "auto = 1\nmemory",
        "`auto` must be true or false, it is an integer",
    );
    check(
        "memory",
        "speed = 1\nmemory",
        "`speed` is no key of a manifest",
    );
    let url = "`source[1].url` must start with `https://` or `http://` and hold no spaces";
    check("https://example.org/tiny.gguf", "ftp://example.org/x", url);
    check("https://example.org/tiny.gguf", "https://", url);
    check(
        "\"tiny-model==1.0\"",
        "\"--index-url==1.0\"",
        "`source[2].package` must be `NAME==VERSION`",
    );
    check(
        "\"tiny-model==1.0\"",
        "\"tiny-model\"",
        "`source[2].package` must be `NAME==VERSION`",
    );
    check(
        "\"tiny_model/tiny.gguf\"",
        "\"../x\"",
        "`source[2].member` must be a path inside the package",
    );
    check(
        "requantise = \"q8_0\"",
        "requantise = \"q4_0\"",
        "`source[3].requantise` must be `q8_0`",
    );
    check(
        "folder = ",
        "requantise = \"q8_0\"\nfolder = ",
        "`source[4].requantise` is no key of a manifest",
    );
    check(
        "\"tiny_model/files\"",
        "\"/etc\"",
        "`source[4].folder` must be a path inside the package",
    );
    check(
        "bert-q8_0",
        "llama",
        "`source[4].convert` must be `bert-f16` or `bert-q8_0`",
    );
    check(
        "path = ",
        "mirror = ",
        "`source[0].path` or `url` or `package` must be there, and only one of them",
    );
    check(
        "kind =",
        "kind",
        "is no TOML: key with no value, expected `=`",
    );
}

#[test]
fn reports_all_problems_at_once() {
    let error = Manifest::parse("name = \"X\"\nsize = 0").unwrap_err();
    let keys: Vec<&str> = error
        .problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    let expected = [
        "name",
        "kind",
        "description",
        "licence",
        "file",
        "size",
        "context",
        "parameters",
        "quantisation",
        "memory",
        "source",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn limits_hold() {
    let comment = format!("#{}", "x".repeat(MANIFEST_BYTES_MAX));
    assert_eq!(
        Manifest::parse(&comment).unwrap_err().to_string(),
        "is longer than 65536 bytes"
    );
    let head = GOOD.split("[[source]]").next().unwrap();
    let sources = |count: usize| {
        Manifest::parse(&format!(
            "{head}{}",
            "[[source]]\npath = \"x\"\n".repeat(count)
        ))
    };
    assert!(sources(SOURCE_COUNT_MAX).is_ok());
    let error = sources(SOURCE_COUNT_MAX + 1).unwrap_err();
    assert_eq!(error.to_string(), "`source` must be there 1 to 8 times");
}
