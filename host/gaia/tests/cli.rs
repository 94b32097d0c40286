//! The command without a node: what people type first, and what they mistype.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use serde_json::{Value, json};
use support::Sandbox;

#[test]
fn init_makes_a_node_once() {
    let sandbox = Sandbox::new();
    let first = sandbox.gaia(&["--json", "init"]).json();
    assert_eq!(first["created"], true);
    let address = first["address"].as_str().unwrap().to_owned();
    assert!(
        address.starts_with("0x") && address.len() == 42,
        "{address}"
    );

    let second = sandbox.gaia(&["--json", "init"]).json();
    assert_eq!(second["created"], false);
    assert_eq!(second["address"], address);
    assert_eq!(sandbox.gaia(&["key", "show"]).ok().trim(), address);
}

#[test]
fn a_generated_password_is_announced_and_lies_elsewhere() {
    let sandbox = Sandbox::new();
    let run = sandbox.gaia(&["init"]);
    assert!(run.err.contains("generated and lies in"), "{}", run.err);
    let folder = sandbox.path("config/gaia");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let password = std::fs::read_to_string(files[0].path()).unwrap();
    let keystore = std::fs::read_to_string(sandbox.path("home/keystore.json")).unwrap();
    let keystore: Value = serde_json::from_str(&keystore).unwrap();
    assert_eq!(keystore["crypto"]["kdfparams"]["n"], 262_144);

    let key = gaia_keystore::load_key(
        &sandbox.path("home/keystore.json"),
        &gaia_keystore::Password::new(password.trim().to_owned()),
    );
    let address = sandbox.gaia(&["key", "show"]).ok().trim().to_owned();
    assert_eq!(key.unwrap().address().to_string(), address);
}

#[test]
fn the_key_of_another_node_is_taken_over_with_its_password() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("old.json");
    let old = gaia_keystore::NodeKey::generate();
    let password = gaia_keystore::Password::new("correct horse".to_owned());
    gaia_keystore::save_key(&file, &old, &password).unwrap();
    let words = sandbox.path("words");
    let import = |text: &str| {
        std::fs::write(&words, text).unwrap();
        let (file, words) = (file.to_str().unwrap(), words.to_str().unwrap());
        sandbox.gaia(&["key", "import", file, "--password-file", words])
    };

    assert_ne!(import("wrong").code, 0);
    assert!(!sandbox.path("home/keystore.json").exists());
    import("correct horse\n").ok();
    let address = old.address().to_string();
    assert_eq!(sandbox.gaia(&["key", "show"]).ok().trim(), address);
    assert_eq!(sandbox.gaia(&["--json", "init"]).json()["address"], address);

    let again = import("correct horse\n");
    assert!(again.err.contains("a key here already"), "{}", again.err);
    let kept = gaia_keystore::load_key(&sandbox.path("home/keystore.json"), &password);
    assert_eq!(kept.unwrap().address(), old.address());
}

#[test]
fn config_values_are_set_and_read() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    assert_eq!(
        sandbox.gaia(&["config", "set", "port", "9000"]).ok(),
        "port = 9000\n"
    );
    assert_eq!(sandbox.gaia(&["config", "get", "port"]).ok(), "9000\n");
    assert_eq!(
        sandbox.gaia(&["--json", "config", "get", "port"]).json(),
        json!({"port": 9000})
    );
    sandbox
        .gaia(&["config", "set", "system_prompt", "-Be brief.-"])
        .ok();
    let text = std::fs::read_to_string(sandbox.path("home/config.toml")).unwrap();
    assert!(text.contains("port = 9000\n"), "{text}");
    assert!(
        text.contains("# The port the node answers on."),
        "comments stay"
    );
}

#[test]
fn values_that_need_each_other_are_set_together() {
    let sandbox = Sandbox::new();
    let alone = sandbox.gaia(&["config", "set", "tls_cert", "c.pem"]);
    assert_eq!(alone.code, 2);
    assert_eq!(
        alone.err,
        "gaia: tls_key: missing; tls_cert alone is not enough\n"
    );
    let both = ["config", "set", "tls_cert", "c.pem", "tls_key", "k.pem"];
    assert_eq!(
        sandbox.gaia(&both).ok(),
        "tls_cert = c.pem\ntls_key = k.pem\n"
    );
    let odd = sandbox.gaia(&["config", "set", "port", "1", "ctx_size"]);
    assert_eq!(odd.err, "gaia: ctx_size: a value is missing\n");
}

#[test]
fn keys_of_clients_are_not_listed() {
    let sandbox = Sandbox::new();
    sandbox
        .gaia(&["config", "set", "api_keys", "secret-one,secret-two"])
        .ok();
    let listed = sandbox.gaia(&["config", "list"]).ok();
    assert!(listed.contains("api_keys = [****, ****]"), "{listed}");
    assert!(!listed.contains("secret-one"));
}

#[test]
fn wrong_input_gets_one_clear_line() {
    let sandbox = Sandbox::new();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let run = sandbox.gaia(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}", run.err);
        assert_eq!(run.err, format!("gaia: {expected}\n"), "{arguments:?}");
    };
    check(
        &["config", "set", "prot", "1"],
        2,
        "prot: no such key; did you mean `port`?",
    );
    check(
        &["config", "set", "port", "high"],
        2,
        "port: must be a whole number from 0 to 65535",
    );
    check(
        &["config", "get", "chatmodel"],
        2,
        "chatmodel: no such key; did you mean `chat_model`?",
    );
    check(
        &["config", "set", "host", "0.0.0.0"],
        2,
        "host: 0.0.0.0 can be reached by others, so there must be a key first: gaia key api create NAME",
    );
    check(&["status"], 3, "no node is running in this home");
    check(&["stop"], 3, "no node is running in this home");
    check(
        &["ask", "x"],
        3,
        "no node is running in this home; `gaia start` starts it",
    );
    check(
        &["key", "show"],
        1,
        "there is no key here yet; `gaia init` makes one",
    );
    check(
        &["model", "pull", "qwen3-17b"],
        2,
        "the name is `qwen3-17b`, which is no model known here; did you mean `qwen3-1.7b`?",
    );
    assert!(
        !sandbox.path("home/config.toml").exists(),
        "nothing half done"
    );
}

#[test]
fn unknown_verbs_are_a_usage_error() {
    let sandbox = Sandbox::new();
    let run = sandbox.gaia(&["strat"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("start"), "{}", run.err);
}

#[test]
fn every_problem_of_a_file_is_shown_at_once() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    std::fs::write(
        sandbox.path("home/config.toml"),
        "prot = 1\nctx_size = 'x'\n",
    )
    .unwrap();
    let run = sandbox.gaia(&["start"]);
    assert_eq!(run.code, 5);
    assert!(
        run.err.contains("prot: no such key; did you mean `port`?"),
        "{}",
        run.err
    );
    assert!(
        run.err.contains("ctx_size: must be a whole number"),
        "{}",
        run.err
    );

    std::fs::write(sandbox.path("home/config.toml"), "port = = 1\n").unwrap();
    let run = sandbox.gaia(&["config", "list"]);
    assert_eq!(run.code, 5);
    assert!(run.err.contains("line 1"), "{}", run.err);
}

#[test]
fn errors_for_machines() {
    let sandbox = Sandbox::new();
    let run = sandbox.gaia(&["--json", "status"]);
    let error: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(error["error"]["exit"], 3);
    assert_eq!(run.out, "");
}

#[test]
fn a_gaianet_configuration_is_taken_over_key_by_key() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    let file = sandbox.path("config.json");
    let gaianet = json!({
        "address": "0xabc",
        "chat": "https://huggingface.co/a/b/blob/main/m.gguf",
        "chat_ctx_size": "16384",
        "qdrant_limit": "1",
        "rag_policy": "last-user-message",
        "system_prompt": "You are helpful.",
        "reverse_prompt": "",
        "snapshot": "https://example.org/s.snapshot",
        "something_new": "1",
    });
    std::fs::write(&file, gaianet.to_string()).unwrap();
    let shown = sandbox
        .gaia(&["config", "import", file.to_str().unwrap()])
        .ok();
    assert_eq!(shown.lines().count(), 9, "one line a key:\n{shown}");
    for line in [
        "chat: chat_model = https://huggingface.co/a/b/resolve/main/m.gguf",
        "chat_ctx_size: ctx_size = 16384",
        "something_new: left to do:",
        "snapshot: left to do:",
        "address: not needed:",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert_eq!(
        sandbox.gaia(&["config", "get", "rag_policy"]).ok(),
        "last-user-message\n"
    );
    assert_eq!(sandbox.gaia(&["config", "get", "ctx_size"]).ok(), "16384\n");
}

#[test]
fn a_missing_part_is_named_with_its_remedy() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["config", "set", "port", "0"]).ok();
    let run = sandbox.gaia(&["start"]);
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(run.err.contains("`make setup` installs one"), "{}", run.err);
}

#[test]
fn doctor_says_how_to_mend() {
    let sandbox = Sandbox::new();
    let run = sandbox.gaia(&["--json", "doctor"]);
    assert_eq!(run.code, 1);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let wasmedge = findings
        .iter()
        .find(|finding| finding["check"] == "wasmedge")
        .unwrap();
    assert_eq!(wasmedge["verdict"], "fail");
    assert_eq!(wasmedge["mend"], "make setup");
}

#[test]
fn completions_know_the_verbs() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.gaia(&["completions", shell]).ok();
        assert!(
            script.contains("knowledge") && script.contains("doctor"),
            "{shell}"
        );
    }
}

#[test]
fn help_has_examples_and_exit_statuses() {
    let sandbox = Sandbox::new();
    let help = sandbox.gaia(&["--help"]).ok();
    assert!(
        help.contains("Examples:") && help.contains("Exit status:"),
        "{help}"
    );
    for verb in ["start", "ask", "config", "model", "doctor"] {
        let help = sandbox.gaia(&[verb, "--help"]).ok();
        assert!(help.contains("Example"), "{verb}: {help}");
    }
}

#[test]
fn a_prompt_that_is_not_there_is_said_when_it_is_named() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    let folder = sandbox.path("home/prompts");
    std::fs::write(folder.join("pirate.md"), "Talk like a pirate.").unwrap();
    let set = |name: &str| {
        let run = sandbox.gaia(&["config", "set", "prompt", name]);
        assert_eq!(run.code, 0, "{}", run.err);
        run.err
    };
    let said = set("pirat");
    assert!(
        said.contains("no prompt `pirat` yet: there are pirate"),
        "{said}"
    );
    assert_eq!(set("pirate"), "");
    assert_eq!(set(""), "");
}

/// As under `gaia completions bash | head -1`, once `head` has gone.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let sandbox = Sandbox::new();
    let output = sandbox
        .command(&["completions", "bash"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
