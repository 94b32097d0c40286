//! `domain.toml` and `policy.toml` as `gaia domain init` writes them, and what it changes in the former.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use alloy_primitives::Address;
use gaia_domain::DomainFile;
use toml_edit::{Array, DocumentMut, Item, Table};

use super::Arguments;
use crate::commands::chain;
use crate::commands::domain::misread;
use crate::exit::{Exit, failure};

/// What holds where the first run does not say otherwise.
const NAME: &str = "my domain";
const RPC: &str = "http://127.0.0.1:8545";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);

/// The file with what the options name in it; `None` where they name nothing.
pub fn changed(path: &Path, arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let wrong = |why: String| failure(Exit::Config, format!("`{}`: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let document = text.parse::<DocumentMut>();
    let mut document = document.map_err(|error| wrong(misread(&text, &error)))?;
    set(&mut document, arguments).map_err(wrong)?;
    let changed = document.to_string();
    Ok((changed != text).then_some(changed))
}

fn set(document: &mut DocumentMut, arguments: &Arguments) -> Result<(), String> {
    let table = |key: &str| format!("`{key}` is no table");
    if let Some(name) = &arguments.name {
        put(document.as_table_mut(), "name", name.as_str().into());
    }
    if let Some(listen) = &arguments.listen {
        let listen = listen.to_string();
        put(document.as_table_mut(), "listen", listen.into());
    }
    if let Some(url) = &arguments.url {
        let urls = document.get("urls").and_then(Item::as_array);
        if urls.is_some_and(|urls| urls.len() > 1) {
            let words = "it lists several urls: change them there, --url would drop the others";
            return Err(words.to_owned());
        }
        let urls: Array = [url.as_str()].into_iter().collect();
        put(document.as_table_mut(), "urls", urls.into());
    }
    if let Some(rpc) = &arguments.rpc {
        let chain = document["chain"].as_table_mut();
        put(
            chain.ok_or_else(|| table("chain"))?,
            "rpc",
            rpc.as_str().into(),
        );
    }
    if let Some(owner) = &arguments.owner {
        let split = document["split"].as_table_mut();
        let split = split.ok_or_else(|| table("split"))?;
        put(split, "domain_address", owner.to_string().into());
    }
    Ok(())
}

/// Comments around the value stay.
fn put(table: &mut Table, key: &str, mut value: toml_edit::Value) {
    if let Some(before) = table.get(key).and_then(Item::as_value) {
        *value.decor_mut() = before.decor().clone();
    }
    table[key] = Item::Value(value);
}

/// Whether a domain could be read from it.
pub fn check(text: &str) -> Result<(), String> {
    DomainFile::parse(text)
        .map(drop)
        .map_err(|error| chain(&error))
}

/// The policy of a new domain. It only lacks addresses.
pub const POLICY: &str = "\
# Who may serve this domain. gaia domain policy shows it in words. A change holds within seconds, also for who serves
# already; gaia domain status tells what is wrong with one.

# allow-list: only those below. open: everybody who is not denied.
admission = \"allow-list\"

# Addresses of nodes or operators.
allow = []
deny = []

# A node must have one of these, each by its SHA-256 or digest; any where a list is empty.
required_models = []
required_knowledge = []
required_prompts = []

# What its operator must have in the domain's DomainStake, in billionths of a token: 1000000000 is one whole token.
# Shares on their way out do not count. The chain is asked every minute.
minimum_stake = 0
";

/// The file of a new domain.
pub fn text(arguments: &Arguments, gateway: Address) -> String {
    let listen = arguments.listen.unwrap_or(LISTEN);
    let url = arguments.url.clone().unwrap_or(format!("http://{listen}"));
    let owner = arguments.owner.unwrap_or(gateway);
    let name = arguments.name.as_deref().unwrap_or(NAME);
    let rpc = arguments.rpc.as_deref().unwrap_or(RPC);
    let [name, url, rpc] = [name, &url, rpc].map(|text| toml_edit::Value::from(text).to_string());
    format!(
        "\
# A domain: one address for many nodes.

# What people call it.
name = {name}

# Where this gateway listens.
listen = \"{listen}\"

# Where users and nodes reach the domain's gateways. A node keeps a connection to each.
urls = [{url}]

# A file of SQLite in this folder, or postgres://… where several gateways share one.
ledger = \"ledger.sqlite\"
# Instead, for a URL with a password: the file whose first line it is. The variable GAIA_LEDGER goes before both.
# ledger_file = \"/run/secrets/ledger\"

# Requests at a time.
requests_running_max = 1024

# Tokens of an answer where a request names no maximum.
answer_tokens_max = 4096

# The most tokens that nodes add to a prompt: their own prompts and passages.
added_tokens_max = 4096

# Each change of a price below is a new version.
price_version = 1

# For HTTPS.
# [tls]
# certificate = \"fullchain.pem\"
# key = \"privkey.pem\"

[chain]
rpc = {rpc}
# Where users may ask it, if they may: it is told to everybody.
# public_rpc = \"https://…\"
# Blocks after which a deposit counts.
confirmations = 12

# Who earns which part of what a request costs, of 10,000.
[split]
node_operator = 8500
domain = 1500
domain_address = \"{owner}\"

# Others, such as stakers or the author of a component.
# [[split.others]]
# role = \"stakers\"
# address = \"0x…\"
# part = 500

# Knowledge bases by name: what users ask for as MODEL@NAME. gaia domain nodes shows the digests that nodes have signed.
# [knowledge]
# handbook = \"0x…\"

# What is offered, and what it costs: USD for a million tokens.
[[models]]
name = \"smollm2-135m-instruct\"
input = \"0.02\"
cached = \"0.005\"
output = \"0.08\"
# The longest context that nodes give a request.
# context_tokens = 4096
# What nodes are set to say to it, as in their configuration: nodes whose prompts are others count others.
# system_prompt = \"You are a helpful assistant.\"
# rag_prompt = \"\"
# Its GGUF file, or what gaia model vocabulary makes of it: the gateway counts tokens with its vocabulary.
# vocabulary = \"smollm2.gguf\"
"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use gaia_registry::Policy;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_is_written_is_read() {
        let arguments = Line::parse_from([
            "gaia",
            "--name",
            "Ada's \"domain\"",
            "--listen",
            "127.0.0.1:1",
        ])
        .arguments;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("domain.toml");
        std::fs::write(&path, text(&arguments, Address::repeat_byte(1))).unwrap();
        let file = DomainFile::read(&path).unwrap();
        assert_eq!(file.name, "Ada's \"domain\"");
        assert_eq!(file.urls, ["http://127.0.0.1:1"]);
        assert_eq!(file.split.domain_address, Address::repeat_byte(1));
    }

    fn arguments(line: &[&str]) -> Arguments {
        Line::parse_from([&["gaia"], line].concat()).arguments
    }

    #[test]
    fn a_second_run_changes_what_it_is_asked_to() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("domain.toml");
        let first = text(&arguments(&[]), Address::repeat_byte(1));
        std::fs::write(&path, &first).unwrap();
        assert_eq!(changed(&path, &arguments(&[])).unwrap(), None);
        let owner = Address::repeat_byte(7);
        let options = [
            ("--name", "other"),
            ("--listen", "127.0.0.1:9"),
            ("--url", "https://d.example"),
            ("--rpc", "http://c.example"),
            ("--owner", &owner.to_string()),
        ];
        for (option, value) in options {
            let text = changed(&path, &arguments(&[option, value]))
                .unwrap()
                .unwrap();
            let lines = first.lines().zip(text.lines());
            let others: Vec<_> = lines.filter(|(before, after)| before != after).collect();
            let [(_, after)] = others[..] else {
                panic!("{option}: {others:?}");
            };
            assert!(after.contains(value), "{option}: {after}");
            std::fs::write(&path, &text).unwrap();
            assert_eq!(changed(&path, &arguments(&[option, value])).unwrap(), None);
            std::fs::write(&path, &first).unwrap();
        }
    }

    #[test]
    fn what_would_make_no_domain_is_not_written() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("domain.toml");
        let first = text(&arguments(&[]), Address::repeat_byte(1));
        std::fs::write(&path, &first).unwrap();
        let text = changed(&path, &arguments(&["--url", "nonsense"])).unwrap();
        let error = check(&text.unwrap()).unwrap_err();
        assert!(error.contains("urls"), "{error}");
        let several = first.replace("urls = [", "urls = [\"http://a\", ");
        std::fs::write(&path, several).unwrap();
        let error = changed(&path, &arguments(&["--url", "http://b"])).unwrap_err();
        assert!(error.to_string().contains("several urls"), "{error}");
    }

    #[test]
    fn the_policy_only_lacks_addresses() {
        let error = Policy::parse(POLICY).unwrap_err().to_string();
        assert!(error.contains("add addresses"), "{error}");
        Policy::parse(&POLICY.replace("allow-list\"", "open\"")).unwrap();
    }
}
