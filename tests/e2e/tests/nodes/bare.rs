//! The command line everybody knows: `wasmedge` alone, with nothing of `gaia` beside it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::process::{signal, wait_for};
use e2e::{CHAT_MODEL, EMBEDDING_MODEL, http, model, program, wasmedge};
use serde_json::json;

struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        signal(self.0.id(), "KILL");
        let _ = self.0.wait();
    }
}

#[test]
fn the_bare_wasmedge_line_answers() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in [("chat.gguf", CHAT_MODEL), ("embed.gguf", EMBEDDING_MODEL)] {
        std::os::unix::fs::symlink(model(name), folder.path().join(file)).unwrap();
    }
    std::fs::copy(
        program("api-server.wasm"),
        folder.path().join("api-server.wasm"),
    )
    .unwrap();
    let mut child = Command::new(wasmedge())
        .current_dir(folder.path())
        .env("WASMEDGE_PLUGIN_PATH", program("libgaia_wasi_nn.so"))
        .args([
            "--dir",
            ".:.",
            "--nn-preload",
            "default:GGML:AUTO:chat.gguf",
        ])
        .args([
            "--nn-preload",
            "embedding:GGML:AUTO:embed.gguf",
            "api-server.wasm",
            "--port",
            "0",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let _bare = Bare(child);
    let url = stdout
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            line.split("listening on ")
                .nth(1)
                .map(|url| url.trim().to_owned())
        })
        .expect("it says where it listens");
    wait_for("the models", Duration::from_secs(180), || {
        http::get(&format!("{url}/ready"))
            .ok()
            .filter(|answer| answer.status == 200)
    });
    let body = json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0});
    let answer = http::post(&format!("{url}/v1/chat/completions"), &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Nobody keeps anything here, and whoever asks for that is told so.
    let body = json!({"input": "Hello", "max_output_tokens": 4, "store": true});
    let response = http::post(&format!("{url}/v1/responses"), &body).unwrap();
    assert_eq!(response.status, 200, "{}", response.text);
    let response = response.json();
    assert_eq!(response["store"], false, "{response}");
    assert!(response["warning"].is_string(), "{response}");
    let id = response["id"].as_str().unwrap();
    let kept = http::get(&format!("{url}/v1/responses/{id}")).unwrap();
    assert_eq!(kept.status, 404, "{}", kept.text);
    let files = http::get(&format!("{url}/v1/files")).unwrap();
    assert_eq!(files.status, 501, "{}", files.text);
    let vectors = http::post(&format!("{url}/v1/embeddings"), &json!({"input": "hello"}))
        .unwrap()
        .json();
    assert_eq!(
        vectors["data"][0]["embedding"].as_array().map(Vec::len),
        Some(384)
    );
}
