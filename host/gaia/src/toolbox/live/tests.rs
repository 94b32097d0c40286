//! Secrets that change, and more turns than are remembered.

use std::fs;

use gaia_keystore::{Password, Secrets};

use super::*;

const TOOL: &str = "[[tool]]\nname = \"news\"\nurl = \"https://api.example.org/\"\n\
                    headers = { Authorization = \"Bearer {secret:news}\" }\n";

fn live(password: Option<&str>) -> (tempfile::TempDir, LiveTools) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path()).unwrap();
    fs::write(home.tools(), TOOL).unwrap();
    let environment = Environment {
        password: password.map(|text| Password::new(text.to_owned())),
        user_config: folder.path().join("config"),
        ..Environment::default()
    };
    let live = LiveTools::open(&home, &Config::default(), &environment);
    (folder, live)
}

async fn opened(live: &LiveTools) -> Result<String, String> {
    let toolbox = live.toolbox();
    let tool = toolbox.table.find("news").unwrap();
    let secrets = live.secrets(tool).await?;
    Ok(secrets["news"].reveal().to_owned())
}

#[tokio::test]
async fn secrets_are_opened_with_the_nodes_password_and_again_when_they_change() {
    let (folder, live) = live(Some("pw"));
    let closed = Err("the secret `news` of this tool cannot be opened".to_owned());
    assert_eq!(opened(&live).await, closed);
    fs::create_dir(folder.path().join("secrets")).unwrap();
    let set = |text: &str, password: &str| {
        let secrets = Secrets::new(&folder.path().join("secrets"));
        let password = Password::new(password.to_owned());
        let secret = Secret::new(text.to_owned());
        secrets.set("news", &secret, &password).unwrap();
    };
    set("first-key", "pw");
    assert_eq!(opened(&live).await.as_deref(), Ok("first-key"));
    set("second-key", "pw");
    assert_eq!(opened(&live).await.as_deref(), Ok("second-key"));
    set("third-key", "another");
    assert_eq!(opened(&live).await, closed);
}

#[tokio::test]
async fn without_a_password_nothing_opens_and_nobody_is_asked() {
    let (_folder, live) = live(None);
    let outcome = live.call("t", "news", "{}").await;
    let expected = "the secret `news` of this tool cannot be opened";
    assert_eq!(outcome.result, Err(expected.to_owned()));
    assert_eq!(outcome.bytes, 0);
}

#[test]
fn of_too_many_turns_the_oldest_is_forgotten() {
    let (_folder, live) = live(None);
    let toolbox = live.toolbox();
    let mut turns = Turns::default();
    let first = turns.of("0", || toolbox.turn());
    assert!(Arc::ptr_eq(&first, &turns.of("0", || toolbox.turn())));
    for id in 1..=TURNS_MAX {
        turns.of(&id.to_string(), || toolbox.turn());
    }
    assert_eq!(turns.0.len(), TURNS_MAX);
    assert!(!Arc::ptr_eq(&first, &turns.of("0", || toolbox.turn())));
}

#[path = "../../../../mcp/tests/support/mod.rs"]
mod servers;

/// A node that knows one MCP server, and beside it a tool of its own called as one of the server's.
async fn live_with_server(web: &servers::Web, more: &str) -> (tempfile::TempDir, LiveTools) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path()).unwrap();
    let server = format!("[[mcp]]\nname = \"news\"\nurl = \"{}\"\n", web.url("/mcp"));
    fs::write(home.tools(), format!("{server}{more}")).unwrap();
    let config = Config {
        egress_origins: vec![web.origin()],
        ..Config::default()
    };
    let environment = Environment {
        user_config: folder.path().join("config"),
        ..Environment::default()
    };
    let live = LiveTools::open(&home, &config, &environment);
    (folder, live)
}

#[tokio::test]
async fn the_tools_of_a_server_are_offered_and_called() {
    let web = servers::server(|said| match said.method() {
        "tools/list" => Some(said.result(servers::tools(&["search", "taken"]))),
        "tools/call" => Some(said.result(servers::text(&said.params()["arguments"].to_string()))),
        _ => None,
    })
    .await;
    let own = "[[tool]]\nname = \"news__taken\"\nurl = \"https://api.example.org/\"\n";
    let (_folder, live) = live_with_server(&web, own).await;
    assert_eq!(web.seen(), 0, "opening a node waits for no server");
    let offered: Vec<_> = live.offered().await;
    let names: Vec<_> = offered.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(
        names,
        ["news__taken", "news__search"],
        "the owner's own goes first"
    );
    assert_eq!(offered[1].parameters["type"], "object");
    let outcome = live.call("t", "news__search", "{\"a\": 1}").await;
    assert_eq!(
        (outcome.result, outcome.bytes),
        (Ok("{\"a\":1}".to_owned()), 7)
    );
    let outcome = live.call("t", "news__other", "{}").await;
    assert_eq!(
        outcome.result,
        Err("there is no tool `news__other`".to_owned())
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_a_failure_that_the_model_is_told() {
    let web = servers::Web::start(|_| servers::Reply::of("500 Oh", "", "no")).await;
    let (_folder, live) = live_with_server(&web, "").await;
    assert_eq!(live.offered().await, []);
    let outcome = live.call("t", "news__search", "{}").await;
    let said = outcome.result.unwrap_err();
    assert!(
        said.starts_with("the server `news` cannot be reached"),
        "{said}"
    );
}
