//! The table of options, and the two readers that share it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, builder::ValueRange};
use gaia_openai::embedding::DIMENSIONS_MAX;

use super::{LoopbackAddress, Options, Secret};

type Set = fn(&mut Options, &str) -> Result<(), String>;

struct Spec {
    /// As on the command line; the file writes underscores for the hyphens.
    name: &'static str,
    value: &'static str,
    help: &'static str,
    set: Set,
}

macro_rules! options {
    ($($name:literal $value:literal $help:literal $set:expr;)+) => {
        &[$(Spec { name: $name, value: $value, help: $help, set: $set }),+]
    };
}

#[rustfmt::skip]
const TABLE: &[Spec] = options! {
    "host" "ADDRESS" "Address to listen on [default: 127.0.0.1]" |o, v| put(&mut o.host, v, "an IP address");
    "port" "PORT" "Port to listen on, 0 for any free one [default: 8080]" |o, v| put(&mut o.port, v, "a port");
    "chat-graph" "NAME" "Graph that answers, as named in --nn-preload [default: default]" |o, v| text(&mut o.chat_graph, v);
    "embedding-graph" "NAME" "Graph that embeds; none preloaded under it: no embeddings [default: embedding]" |o, v| text(&mut o.embedding_graph, v);
    "reranking-graph" "NAME" "Graph that ranks; none preloaded under it: /v1/rerank is refused [default: reranking]" |o, v| text(&mut o.reranking_graph, v);
    "chat-name" "ID" "Name of the chat model in the API [default: the model's own]" |o, v| some_text(&mut o.chat_name, v);
    "embedding-name" "ID" "Name of the embedding model in the API [default: the model's own]" |o, v| some_text(&mut o.embedding_name, v);
    "reranking-name" "ID" "Name of the ranking model in the API [default: the model's own]" |o, v| some_text(&mut o.reranking_name, v);
    "embedding-dimensions" "NUMBERS" "Shorter lengths that requests may have the model's embeddings cut to, separated by commas; only for models trained for it [default: none]" embedding_dimensions;
    "stock-engine" "BOOL" "Use the plugin as WasmEdge's stock one, whatever it can [default: false]" |o, v| put(&mut o.stock_engine, v, "true or false");
    "bell-port" "PORT" "Port on loopback where the plugin wakes the server, 0 for any free one [default: 0]" |o, v| put(&mut o.bell_port, v, "a port");
    "ctx-size" "TOKENS" "Context of a request [default: the engine's; 4096 with the stock plugin]" |o, v| some_within(&mut o.ctx_size, v, 64, 1 << 24);
    "n-predict-max" "TOKENS" "Most tokens an answer may have [default: what fits the context]" |o, v| some_within(&mut o.n_predict_max, v, 1, 1 << 24);
    "system-prompt" "TEXT" "System message for conversations that bring none" |o, v| some_text(&mut o.system_prompt, v);
    "prompts" "FOLDER" "Folder of named prompts, files called NAME.md; read again when they change [default: none]" |o, v| { o.prompts = (!v.is_empty()).then(|| v.into()); Ok(()) };
    "prompt" "NAME" "Named prompt of requests that name none and fit no prompt's rule; it goes before --system-prompt and --rag-prompt" |o, v| some_text(&mut o.prompt, v);
    "temperature" "NUMBER" "Temperature of requests that name none, 0 to 2 [default: the engine's]" temperature;
    "thinking" "WHETHER" "on, off, or auto: whether a model that can thinks before it answers, in requests that do not say; auto: its template's choice [default: auto]" thinking;
    "rag-prompt" "TEXT" "Text before the retrieved passages" |o, v| some_text(&mut o.rag_prompt, v);
    "rag-policy" "WHERE" "system-message or last-user-message: where passages go [default: system-message]" rag_policy;
    "context-window" "TURNS" "User turns that make the query [default: 1]" |o, v| within(&mut o.context_window, v, 0, 100);
    "chat-template" "FILE" "Jinja template instead of the model's own; a .gguf file: the one in its header" |o, v| { o.chat_template = Some(v.into()); Ok(()) };
    "store-url" "URL" "Qdrant REST API on this machine, as http://127.0.0.1:6333 [default: no retrieval]" store_url;
    "store-key" "KEY" "api-key for the store" |o, v| secret(&mut o.store_key, v);
    "store-required" "BOOL" "Answer 503 instead of answering without passages when the store is down [default: false]" |o, v| put(&mut o.store_required, v, "true or false");
    "back-url" "URL" "What the host does for the sandbox, on this machine, as http://127.0.0.1:7000 [default: nothing]" back_url;
    "back-key" "KEY" "Bearer key for it" |o, v| secret(&mut o.back_key, v);
    "tool-rounds-max" "COUNT" "How often one answer may wait for calls of the node's tools, 0 for none [default: 4]" |o, v| within(&mut o.tool_rounds_max, v, 0, 16);
    "collection" "NAME" "Collection to search [default: default]" collection;
    "limit" "COUNT" "Most passages in a prompt, 0 for none [default: 3]" |o, v| within(&mut o.limit, v, 0, 100);
    "score-threshold" "SCORE" "Least similarity of a passage, -1 to 1 [default: 0.25]" score_threshold;
    "retrieval-tokens-max" "TOKENS" "Most tokens of passages in a prompt [default: half the context]" |o, v| some_within(&mut o.retrieval_tokens_max, v, 0, 1 << 24);
    "worker-key" "KEY" "Bearer key demanded on every route but /health" |o, v| secret(&mut o.worker_key, v);
    "body-bytes-max" "BYTES" "Largest request body [default: 8388608]" |o, v| within(&mut o.body_bytes_max, v, 1024, 1 << 30);
    "header-timeout-seconds" "SECONDS" "Time for a request's head, and between pieces of its body [default: 10]" |o, v| seconds(&mut o.header_timeout, v);
    "idle-timeout-seconds" "SECONDS" "Time a connection may be silent, or a client not read [default: 75]" |o, v| seconds(&mut o.idle_timeout, v);
    "connections-max" "COUNT" "Open connections [default: 2048]" |o, v| within(&mut o.connections_max, v, 1, 65_536);
    "requests-running-max" "COUNT" "Requests the model works on at a time [default: 8]" |o, v| within(&mut o.requests_running_max, v, 1, 1024);
    "queue-len-max" "COUNT" "Requests that may wait for their turn; more get 429 [default: 64]" |o, v| within(&mut o.queue_len_max, v, 0, 100_000);
    "priority-allowed" "BOOL" "Whether `service_tier: priority` puts a request before others; allow it where you know who asks [default: false]" |o, v| put(&mut o.priority_allowed, v, "true or false");
    "node-id" "ADDRESS" "The node's address, shown in /v1/info" |o, v| some_text(&mut o.node_id, v);
    "node-name" "NAME" "The node's name, shown in /v1/info" |o, v| some_text(&mut o.node_name, v);
    "cors-origins" "ORIGINS" "Origins of pages that may call the API, separated by commas" cors_origins;
};

/// The command line, for clap: `--help` is made from the table.
pub(crate) fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("TOML file with the same options, underscores for hyphens; the command line wins");
    let mut command = Command::new("api-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A node's OpenAI-compatible API inside WasmEdge")
        .arg(config);
    for spec in TABLE {
        let arg = Arg::new(spec.name)
            .long(spec.name)
            .value_name(spec.value)
            .help(spec.help)
            .num_args(ValueRange::from(1))
            .allow_hyphen_values(true);
        command = command.arg(arg);
    }
    command
}

/// Reads the options from the file's text, where there is one, and from the command line.
///
/// # Errors
/// Every problem, one a line.
pub(crate) fn read(file: Option<&str>, matches: &ArgMatches) -> Result<Options, Vec<String>> {
    let mut options = Options::default();
    let mut problems = Vec::new();
    if let Some(file) = file {
        read_file(&mut options, file, &mut problems);
    }
    for spec in TABLE {
        if let Some(value) = matches.get_one::<String>(spec.name)
            && let Err(problem) = (spec.set)(&mut options, value)
        {
            problems.push(format!("--{}: {problem}", spec.name));
        }
    }
    check_together(&options, &mut problems);
    if problems.is_empty() {
        Ok(options)
    } else {
        Err(problems)
    }
}

fn read_file(options: &mut Options, file: &str, problems: &mut Vec<String>) {
    let table: toml::Table = match file.parse() {
        Ok(table) => table,
        Err(error) => {
            problems.push(format!("the file is not TOML: {}", error.message()));
            return;
        }
    };
    for (key, value) in &table {
        if let Err(problem) = set_key(options, key, value) {
            problems.push(problem);
        }
    }
}

fn set_key(options: &mut Options, key: &str, value: &toml::Value) -> Result<(), String> {
    let name = key.replace('_', "-");
    let spec = TABLE.iter().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| unknown(key))?;
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Array(list) => {
            let texts = list.iter().map(|value| match value {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                _ => None,
            });
            let texts: Option<Vec<_>> = texts.collect();
            texts
                .ok_or_else(|| format!("`{key}`: a list may hold only strings and whole numbers"))?
                .join(",")
        }
        _ => return Err(format!("`{key}`: has no value of this kind")),
    };
    (spec.set)(options, &text).map_err(|problem| format!("`{key}`: {problem}"))
}

fn unknown(key: &str) -> String {
    let names = TABLE.iter().map(|spec| spec.name.replace('-', "_"));
    let near = names
        .map(|name| (distance(key, &name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3);
    match near {
        Some((_, name)) => format!("unknown key `{key}`, did you mean `{name}`?"),
        None => format!("unknown key `{key}`"),
    }
}

/// Levenshtein's distance: single characters inserted, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn check_together(options: &Options, problems: &mut Vec<String>) {
    if !options.host.is_loopback() && options.worker_key.is_none() {
        problems.push(format!(
            "--host {} can be reached from other machines: set --worker-key",
            options.host
        ));
    }
    if options.store_required && options.store_url.is_none() {
        problems.push("--store-required needs --store-url".to_owned());
    }
}

fn put<T: FromStr>(slot: &mut T, value: &str, expected: &str) -> Result<(), String> {
    *slot = value
        .parse()
        .map_err(|_| format!("`{value}` is not {expected}"))?;
    Ok(())
}

fn text(slot: &mut String, value: &str) -> Result<(), String> {
    if value.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    value.clone_into(slot);
    Ok(())
}

// Empty means unset, so that a file can list every key.
fn some_text(slot: &mut Option<String>, value: &str) -> Result<(), String> {
    *slot = (!value.is_empty()).then(|| value.to_owned());
    Ok(())
}

fn secret(slot: &mut Option<Secret>, value: &str) -> Result<(), String> {
    let printable = |c: char| c.is_ascii_graphic();
    if !value.chars().all(printable) {
        return Err("a key consists of printable ASCII characters without spaces".to_owned());
    }
    *slot = (!value.is_empty()).then(|| Secret::new(value));
    Ok(())
}

fn within<T>(slot: &mut T, value: &str, min: T, max: T) -> Result<(), String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    match value.parse::<T>() {
        Ok(number) if number >= min && number <= max => {
            *slot = number;
            Ok(())
        }
        _ => Err(format!(
            "`{value}` is not a whole number from {min} to {max}"
        )),
    }
}

fn some_within(slot: &mut Option<u32>, value: &str, min: u32, max: u32) -> Result<(), String> {
    let mut number = 0;
    within(&mut number, value, min, max)?;
    *slot = Some(number);
    Ok(())
}

fn seconds(slot: &mut Duration, value: &str) -> Result<(), String> {
    match value.parse::<f64>() {
        Ok(number) if (0.1..=86_400.0).contains(&number) => {
            *slot = Duration::from_secs_f64(number);
            Ok(())
        }
        _ => Err(format!(
            "`{value}` is not a number of seconds from 0.1 to 86400"
        )),
    }
}

fn temperature(options: &mut Options, value: &str) -> Result<(), String> {
    match value.parse::<f32>() {
        Ok(number) if (0.0..=2.0).contains(&number) => {
            options.temperature = Some(number);
            Ok(())
        }
        _ => Err(format!("`{value}` is not a number from 0 to 2")),
    }
}

fn thinking(options: &mut Options, value: &str) -> Result<(), String> {
    options.thinking = match value {
        "auto" => None,
        "on" => Some(true),
        "off" => Some(false),
        _ => return Err(format!("`{value}` is not on, off or auto")),
    };
    Ok(())
}

fn embedding_dimensions(options: &mut Options, value: &str) -> Result<(), String> {
    let lengths = value.split(',').map(str::trim);
    options.embedding_dimensions = lengths
        .filter(|length| !length.is_empty())
        .map(|length| match length.parse::<u32>() {
            Ok(number) if (1..=DIMENSIONS_MAX).contains(&number) => Ok(number),
            _ => Err(format!(
                "`{length}` is not a whole number from 1 to {DIMENSIONS_MAX}"
            )),
        })
        .collect::<Result<_, _>>()?;
    Ok(())
}

fn score_threshold(options: &mut Options, value: &str) -> Result<(), String> {
    match value.parse::<f32>() {
        Ok(score) if (-1.0..=1.0).contains(&score) => {
            options.score_threshold = score;
            Ok(())
        }
        _ => Err(format!("`{value}` is not a number from -1 to 1")),
    }
}

fn rag_policy(options: &mut Options, value: &str) -> Result<(), String> {
    let expected = |_| format!("`{value}` is not system-message or last-user-message");
    options.rag_policy = value.parse().map_err(expected)?;
    Ok(())
}

fn collection(options: &mut Options, value: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() || value.len() > 128 || !value.chars().all(plain) || value.starts_with('.')
    {
        return Err(format!(
            "`{value}` is not a name of letters, digits, `-`, `_` and `.`"
        ));
    }
    value.clone_into(&mut options.collection);
    Ok(())
}

// The sandbox talks to this machine only; everything else goes through the host's egress.
fn store_url(options: &mut Options, value: &str) -> Result<(), String> {
    options.store_url = loopback(value, 6333)?;
    Ok(())
}

fn back_url(options: &mut Options, value: &str) -> Result<(), String> {
    options.back_url = loopback(value, 80)?;
    Ok(())
}

fn loopback(value: &str, port: u16) -> Result<Option<LoopbackAddress>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    let expected = || format!("`{value}` is not like http://127.0.0.1:{port}");
    let rest = value.strip_prefix("http://").ok_or_else(expected)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let rest = rest.replace("localhost", "127.0.0.1");
    let socket = match rest.parse::<SocketAddr>() {
        Ok(socket) => socket,
        Err(_) => SocketAddr::new(rest.parse::<IpAddr>().map_err(|_| expected())?, port),
    };
    if !socket.ip().is_loopback() || !socket.is_ipv4() {
        return Err(format!("`{value}` is not on this machine's IPv4 loopback"));
    }
    Ok(Some(LoopbackAddress { socket }))
}

fn cors_origins(options: &mut Options, value: &str) -> Result<(), String> {
    let origins = value
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty());
    options.cors_origins = origins
        .map(|origin| match crate::origin::normal(origin) {
            Some(origin) => Ok(origin),
            None => Err(format!(
                "`{origin}` is not an origin like https://example.org"
            )),
        })
        .collect::<Result<_, _>>()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, args: &[&str]) -> Result<Options, Vec<String>> {
        let args = [&["api-server"], args].concat();
        let matches = command().try_get_matches_from(args).unwrap();
        read(Some(file), &matches)
    }

    #[track_caller]
    fn check_problems(file: &str, args: &[&str], expected: &[&str]) {
        assert_eq!(parse(file, args).unwrap_err(), expected);
    }

    #[test]
    fn nothing_is_enough() {
        assert_eq!(parse("", &[]), Ok(Options::default()));
    }

    #[test]
    fn both_readers_know_every_option() {
        let options = parse("chat_name = \"a\"\nport = 1\nlimit = 0", &["--port", "2"]).unwrap();
        assert_eq!((options.port, options.limit), (2, 0));
        assert_eq!(options.chat_name.as_deref(), Some("a"));
    }

    #[test]
    fn all_problems_come_at_once() {
        check_problems(
            "prot = 1\nlimit = -1\nscore_threshold = 2.5\nzzzzzz = 1",
            &["--rag-policy", "both", "--host", "0.0.0.0"],
            &[
                "`limit`: `-1` is not a whole number from 0 to 100",
                "unknown key `prot`, did you mean `port`?",
                "`score_threshold`: `2.5` is not a number from -1 to 1",
                "unknown key `zzzzzz`",
                "--rag-policy: `both` is not system-message or last-user-message",
                "--host 0.0.0.0 can be reached from other machines: set --worker-key",
            ],
        );
    }

    #[test]
    fn embeddings_may_be_cut_to_some_lengths() {
        let lengths = |file: &str| parse(file, &[]).map(|o| o.embedding_dimensions);
        assert_eq!(
            lengths("embedding_dimensions = [512, 64]"),
            Ok(vec![512, 64])
        );
        assert_eq!(lengths("embedding_dimensions = \"8, 9\""), Ok(vec![8, 9]));
        assert!(lengths("embedding_dimensions = [0]").is_err());
        assert!(lengths("embedding_dimensions = [65537]").is_err());
    }

    #[test]
    fn thinking_is_on_off_or_nobodys_choice() {
        let thinking = |value: &str| parse("", &["--thinking", value]).map(|o| o.thinking);
        assert_eq!(thinking("on"), Ok(Some(true)));
        assert_eq!(thinking("off"), Ok(Some(false)));
        assert_eq!(thinking("auto"), Ok(None));
        assert!(thinking("yes").is_err());
    }

    #[test]
    fn the_store_is_on_this_machine() {
        let url = |url: &str| parse("", &["--store-url", url]).map(|o| o.store_url.unwrap().socket);
        assert_eq!(url("http://127.0.0.1:6333").unwrap().port(), 6333);
        assert_eq!(url("http://localhost:7000/").unwrap().port(), 7000);
        for bad in [
            "https://127.0.0.1:6333",
            "http://10.0.0.1:6333",
            "http://example.org",
            "http://127.0.0.1:6333/x",
            "http://user@127.0.0.1:6333",
            "http://[::1]:6333",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_do_not_show() {
        let options = parse("", &["--worker-key", "geheim", "--store-key", "geheim"]).unwrap();
        assert!(!format!("{options:?}").contains("geheim"));
        assert_eq!(options.worker_key.unwrap().reveal(), "geheim");
    }

    #[test]
    fn lists_in_the_file_are_lists() {
        let options = parse("cors_origins = [\"https://a.org\", \"http://b:1\"]", &[]).unwrap();
        assert_eq!(options.cors_origins, ["https://a.org", "http://b:1"]);
        check_problems(
            "cors_origins = [\"a.org\"]",
            &[],
            &["`cors_origins`: `a.org` is not an origin like https://example.org"],
        );
    }

    #[test]
    fn a_broken_file_is_one_problem() {
        let problems = parse("port = ", &[]).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("the file is not TOML: "));
    }
}
