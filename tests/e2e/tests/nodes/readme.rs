//! What the README shows is true: its blocks are run as they stand, from top to bottom, on a fresh node.
//!
//! Only names of places are changed: the port, and the hosts of examples. A block that fails, fails this test; so does
//! one that this test does not know.

mod blocks;
mod visitor;

use std::fs;
use std::process::{Child, Command, Stdio};

use e2e::node::READY_LIMIT;
use e2e::process::{signal, wait_for};
use e2e::{CHAT_MODEL, EMBEDDING_MODEL, http, model, program, root};

use blocks::{Block, blocks};
use visitor::Visitor;

/// What is done with a block: by how it begins.
type Told = (&'static str, fn(&Visitor, &Block));

/// In the order of the README.
const TOLD: &[Told] = &[
    ("make run ", makes_something),
    ("gaia ask ", asks),
    ("gaia knowledge add ", learns),
    ("gaia status", looks),
    ("gaia config list", is_changed),
    ("echo 'You answer in one friendly sentence.'", prompts),
    ("gaia model list", names_a_model),
    ("curl http://", streams),
    ("from openai import OpenAI", answers_python),
    ("gaia tools add weather ", calls_an_endpoint),
    ("gaia tools add mcp ", calls_an_mcp_server),
    ("gaia tools add plugin ", runs_a_plugin),
    ("gaia key api create ", lets_somebody_in),
    ("make demo-domain", makes_something),
    ("WASMEDGE_PLUGIN_PATH=", runs_without_the_command),
    ("client → gaia ", is_a_drawing),
    ("make test ", makes_something),
];

#[test]
fn what_the_readme_shows_works() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&readme);
    let begins: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
    assert_eq!(
        begins.len(),
        TOLD.len(),
        "as many blocks as this test knows: {begins:#?}"
    );
    let visitor = Visitor::arrive();
    for (block, (beginning, follow)) in blocks.iter().zip(TOLD) {
        assert!(
            block.text.starts_with(beginning),
            "the README shows here what this test does not know:\n{}",
            block.text
        );
        eprintln!("--- {}", block.text);
        follow(&visitor, block);
    }
}

/// What `make` is told exists; building a node within a test would take a quarter of an hour.
fn makes_something(_: &Visitor, block: &Block) {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for line in block.text.lines() {
        let target = line.split_whitespace().nth(1).unwrap();
        assert!(makefile.contains(&format!("\n{target}:")), "{line}");
    }
}

fn asks(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    assert!(said.len() > 20, "an answer with its sources: {said}");
}

fn learns(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    assert!(said.contains("thirty days"), "the note is found: {said}");
}

fn looks(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    for expected in ["ready at ", "Tokens a second", "INFO ready"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

fn is_changed(visitor: &Visitor, block: &Block) {
    visitor.run(block);
    let prompt = visitor.read_by_model("Hello");
    assert!(prompt.contains("Answer in one sentence."), "{prompt}");
}

fn prompts(visitor: &Visitor, block: &Block) {
    visitor.run(block);
    let prompt = visitor.read_by_model("Hello");
    assert!(prompt.contains("one friendly sentence"), "{prompt}");
}

/// A model of some gigabytes is not fetched within a test; that it is offered under this name can be seen.
fn names_a_model(visitor: &Visitor, block: &Block) {
    let offered = visitor.shell("gaia model list");
    let line = block.text.lines().find(|line| line.contains("model pull"));
    let name = line.unwrap().split_whitespace().nth(3).unwrap();
    assert!(offered.contains(name), "{name}: {offered}");
    assert!(block.text.contains(&format!("chat_model {name}")));
}

fn streams(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    assert!(said.contains("chat.completion.chunk"), "{said}");
    assert!(said.contains("data: [DONE]"), "{said}");
}

fn answers_python(visitor: &Visitor, block: &Block) {
    assert_eq!(block.language, "python");
    let said = visitor.run_python(block);
    assert!(!said.trim().is_empty(), "an answer");
}

fn calls_an_endpoint(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    assert!(said.contains("Rain in Bonn"), "{said}");
}

fn calls_an_mcp_server(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    assert!(said.contains("search_knowledge"), "{said}");
}

fn runs_a_plugin(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    assert!(said.contains("285"), "{said}");
}

fn lets_somebody_in(visitor: &Visitor, block: &Block) {
    let said = visitor.run(block);
    let key = said
        .split_whitespace()
        .find(|word| word.starts_with("gaia_"));
    let models = format!("{}/v1/models", visitor.node.url());
    let bearer = format!("Bearer {}", key.unwrap());
    let opened = http::get_with(&models, ("authorization", &bearer)).unwrap();
    assert_eq!(opened.status, 200, "{}", opened.text);
    assert_eq!(http::get(&models).unwrap().status, 401, "without the key");
}

/// A process that ends with the test.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        signal(self.0.id(), "KILL");
        let _ = self.0.wait();
    }
}

fn runs_without_the_command(visitor: &Visitor, block: &Block) {
    for (file, name) in [("chat.gguf", CHAT_MODEL), ("embed.gguf", EMBEDDING_MODEL)] {
        std::os::unix::fs::symlink(model(name), visitor.folder().join(file)).unwrap();
    }
    // In place of the workspace's `target`, which is not below the folder that the program sees.
    let release = visitor.folder().join("target/release");
    fs::create_dir_all(&release).unwrap();
    for file in ["libgaia_wasi_nn.so", "api-server.wasm"] {
        fs::copy(program(file), release.join(file)).unwrap();
    }
    let port = visitor::free_port();
    let script = block.text.replace("8080", &port.to_string());
    let mut command = visitor.bash(&format!("exec env {script}"));
    let _bare = Bare(command.stdout(Stdio::null()).spawn().unwrap());
    let url = format!("http://127.0.0.1:{port}/ready");
    wait_for("the bare node", READY_LIMIT, || {
        http::get(&url).ok().filter(|answer| answer.status == 200)
    });
}

fn is_a_drawing(_: &Visitor, block: &Block) {
    assert!(block.text.contains("vector store"), "{}", block.text);
}

/// The official package, put into the cache by the project's own script.
fn python_packages() -> String {
    let script = root().join("scripts/setup/openai-python.sh");
    let output = Command::new("bash").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
