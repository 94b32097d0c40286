//! `gaia domain init`: the folder, the gateway's key, the commented file and policy.
//!
//! Each part is made only where it is missing, so that an interrupted run is finished by the next, and the second run
//! brings what the first could not know: where the contracts are. What a second run's options name is changed in the
//! file, and nothing else is.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use clap::Args;
use gaia_domain::{Deployment, DomainFile, Folder};
use gaia_keystore::{NodeKey, read_address, save_key};
use serde_json::json;
use toml_edit::{Array, DocumentMut, Item, Table};

use super::{folder, passwords};
use crate::commands::{Context, chain};
use crate::exit::{Exit, failure};
use crate::home::{make_private_folder, write_private};
use crate::password::{Origin, new_password};
use crate::terminal::Tint;

/// What holds where the first run does not say otherwise.
const NAME: &str = "my domain";
const RPC: &str = "http://127.0.0.1:8545";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);

/// Arguments of `gaia domain init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Run again, it changes in domain.toml what its options name, and leaves the rest as it is.")]
pub struct Arguments {
    /// What people call the domain [default: my domain]
    #[arg(long)]
    name: Option<String>,
    /// Where the contracts are: the file that scripts/contracts.sh deploy --out FILE wrote
    #[arg(long, value_name = "FILE")]
    deployment: Option<PathBuf>,
    /// Where the chain is asked [default: http://127.0.0.1:8545]
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Where the gateway listens [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where users and nodes reach it [default: http:// and the address it listens on]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Who draws the domain's part [default: the gateway's own address]
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<Address>,
    /// The key's password is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia domain init`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = folder(context);
    // Before anything is made: a wrong file makes no half of a domain.
    let deployment = arguments.deployment.as_deref().map(read).transpose()?;
    make_private_folder(folder.root())?;
    let gateway = key(context, &folder, arguments)?;
    if let Some(deployment) = &deployment {
        keep(&folder, deployment)?;
    }
    if !folder.policy().exists() {
        write_private(&folder.policy(), POLICY.as_bytes())?;
    }
    let file = match folder.file().exists() {
        true => changed(&folder.file(), arguments)?,
        false => Some(text(arguments, gateway)),
    };
    if let Some(file) = file {
        check(&file).map_err(|why| failure(Exit::Usage, why))?;
        write_private(&folder.file(), file.as_bytes())?;
    }
    show(context, &folder, gateway, deployment.as_ref());
    Ok(())
}

/// The file with what the options name in it; `None` where they name nothing.
fn changed(path: &Path, arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let wrong = |why: String| failure(Exit::Config, format!("`{}`: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let document = text.parse::<DocumentMut>();
    let mut document = document.map_err(|error| wrong(format!("no TOML: {error}")))?;
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
fn check(text: &str) -> Result<(), String> {
    DomainFile::parse(text)
        .map(drop)
        .map_err(|error| chain(&error))
}

fn read(path: &Path) -> anyhow::Result<Deployment> {
    Deployment::read(path).map_err(|error| failure(Exit::Usage, chain(&error)))
}

/// The gateway's address; its key is made where there is none.
fn key(context: &Context, folder: &Folder, arguments: &Arguments) -> anyhow::Result<Address> {
    if folder.keystore().exists() {
        return Ok(read_address(&folder.keystore())?);
    }
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let may_ask = is_terminal && !context.terminal.json;
    let sources = passwords(context, folder, arguments.password_file.as_deref(), may_ask);
    let (password, origin) = new_password(&sources)?;
    let key = NodeKey::generate();
    save_key(&folder.keystore(), &key, &password)?;
    if let Origin::Generated(path) = origin {
        context.terminal.note(&format!(
            "The password of the gateway's key was generated and lies in {}; keep a copy of both files.",
            path.display()
        ));
    }
    Ok(key.address())
}

/// Puts the deployment into the folder; another one that is there stays.
fn keep(folder: &Folder, deployment: &Deployment) -> anyhow::Result<()> {
    let path = folder.deployment();
    if path.exists() {
        let before = read(&path)?;
        if before != *deployment {
            let words = format!(
                "this domain is {} on chain {} already: a domain does not move; use another --home for another domain",
                before.domain_id, before.chain_id
            );
            return Err(failure(Exit::Usage, words));
        }
        return Ok(());
    }
    let text = serde_json::to_string_pretty(deployment)?;
    Ok(write_private(&path, format!("{text}\n").as_bytes())?)
}

fn show(context: &Context, folder: &Folder, gateway: Address, deployment: Option<&Deployment>) {
    let known = deployment
        .cloned()
        .or_else(|| Deployment::read(&folder.deployment()).ok());
    context.terminal.answer(
        || {
            json!({
                "folder": folder.root(),
                "gateway": gateway,
                "domain": known.as_ref().map(|one| one.domain_id),
            })
        },
        |terminal| {
            let next = match &known {
                None => format!(
                    "Next: put its contracts on a chain, with this key as the one that signs receipts:\n  \
                     GAIA_GATEWAY={gateway} scripts/contracts.sh deploy --rpc URL --out deployment.json\n  \
                     gaia domain init --deployment deployment.json"
                ),
                Some(one) if one.gateway != gateway => format!(
                    "{}: on the chain {} signs for this domain, not this gateway; the domain's owner has to name it there",
                    terminal.out(Tint::Yellow, "Not yet"),
                    one.gateway
                ),
                Some(_) => format!(
                    "Next: write down what is offered and who may join, then gaia domain start\n  {}\n  {}",
                    folder.file().display(),
                    folder.policy().display()
                ),
            };
            format!(
                "A domain in {}\nIts gateway: {}\n{next}",
                folder.root().display(),
                terminal.out(Tint::Bold, &gateway.to_string())
            )
        },
    );
}

const POLICY: &str = "\
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

fn text(arguments: &Arguments, gateway: Address) -> String {
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
# Its GGUF file: the gateway counts tokens with its vocabulary.
# vocabulary = \"smollm2.gguf\"
"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use gaia_domain::DomainFile;
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
