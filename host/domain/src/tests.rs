//! What operators write, and what of it is refused.

use std::fs;

use alloy_primitives::{Address, address};
use gaia_ledger::NanoUsd;

use crate::file::{DomainFile, FILE_BYTES_MAX, KNOWLEDGE_MAX, KNOWLEDGE_NAME_LEN_MAX};
use crate::{Deployment, Folder, LEDGER_FILE_BYTES_MAX, LedgerAddress};

const GOOD: &str = r#"
name = "example"
listen = "127.0.0.1:8090"
urls = ["https://example.org"]
price_version = 1

[chain]
rpc = "http://127.0.0.1:8545"

[split]
node_operator = 8000
domain = 1500
domain_address = "0x1111111111111111111111111111111111111111"

[[split.others]]
role = "stakers"
address = "0x2222222222222222222222222222222222222222"
part = 500

[[models]]
name = "small"
input = "0.10"
cached = "0.02"
output = "0.30"
"#;

fn read(text: &str) -> Result<DomainFile, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("domain.toml");
    fs::write(&path, text).unwrap();
    DomainFile::read(&path).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error} {}", source.unwrap_or_default())
    })
}

/// `from` in the good file becomes `to`, and what is said of that has `expected` in it.
fn refused(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from}");
    let message = read(&GOOD.replace(from, to)).unwrap_err();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_domain_is_read_with_its_defaults() {
    let file = read(GOOD).unwrap();
    assert_eq!(ledger(&file, None).unwrap(), "/d/ledger.sqlite");
    assert_eq!(file.chain.confirmations, 12);
    let prices = file.prices().unwrap();
    assert_eq!(prices.models()[0].input, NanoUsd::new(100_000_000).unwrap());
}

fn ledger(file: &DomainFile, variable: Option<&str>) -> Result<String, String> {
    let folder = Folder::at_root("/d".into());
    let found = file.ledger_in(
        &folder,
        variable.map(|text| LedgerAddress::new(text.to_owned())),
    );
    let found = found.map(|address| address.reveal().to_owned());
    found.map_err(|error| error.to_string())
}

#[test]
fn a_ledgers_password_need_not_stand_in_the_domains_file() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("url");
    let with = |line: &str| read(&format!("{line}\n{GOOD}"));
    let file = with(&format!("ledger_file = \"{}\"", secret.display())).unwrap();
    let missing = ledger(&file, None).unwrap_err();
    assert!(missing.contains("ledger_file"), "{missing}");
    fs::write(&secret, "\n").unwrap();
    assert!(ledger(&file, None).unwrap_err().contains("is empty"));
    let url = "postgres://gaia:hunter2@db.example/gaia";
    fs::write(&secret, format!("{url}\n")).unwrap();
    assert_eq!(ledger(&file, None).unwrap(), url);
    assert_eq!(
        ledger(&file, Some("other.sqlite")).unwrap(),
        "/d/other.sqlite"
    );
    assert_eq!(ledger(&file, Some("")).unwrap(), url);
    let plain = with(&format!("ledger = \"{url}\"")).unwrap();
    assert_eq!(ledger(&plain, None).unwrap(), url);
    assert!(!format!("{plain:?}").contains("hunter2"), "{plain:?}");
    let both = with("ledger = \"a\"\nledger_file = \"b\"").unwrap_err();
    assert!(both.contains("ledger: "), "{both}");
    let most = usize::try_from(LEDGER_FILE_BYTES_MAX).unwrap();
    fs::write(&secret, "x".repeat(most)).unwrap();
    assert!(ledger(&file, None).is_ok());
    fs::write(&secret, "x".repeat(most + 1)).unwrap();
    assert!(ledger(&file, None).is_err());
}

#[test]
fn parts_are_exact() {
    let split = read(GOOD).unwrap().split.rule();
    let operator = address!("0x3333333333333333333333333333333333333333");
    let shares = split
        .of(operator)
        .unwrap()
        .of(NanoUsd::new(10_001).unwrap());
    let shares: Vec<_> = shares
        .iter()
        .map(|(party, share)| (party.address, share.get()))
        .collect();
    let repeated = |byte| Address::repeat_byte(byte);
    assert_eq!(
        shares,
        [
            (operator, 8001),
            (repeated(0x11), 1500),
            (repeated(0x22), 500)
        ]
    );
}

#[test]
fn what_is_wrong_is_told_by_name() {
    refused("price_version = 1", "", "price_version");
    refused("price_version = 1", "prices = 1", "unknown field `prices`");
    refused("https://example.org", "example.org", "urls: `example.org`");
    refused("https://example.org", "https://a.org/v1", "urls: ");
    refused("[\"https://example.org\"]", "[]", "urls: name at least");
    refused("http://127.0.0.1:8545", "127.0.0.1:8545", "chain.rpc: ");
    refused("\"0.10\"", "\"0,10\"", "models: small: `0,10` is no amount");
    refused(
        "1500",
        "1400",
        "split: the parts of a split add up to 10000",
    );
    refused("part = 500", "part = 0", "split: ");
}

#[test]
fn knowledge_bases_have_names() {
    let digest = alloy_primitives::B256::repeat_byte(7);
    let file = |names: &[String]| {
        let rows = names.iter().map(|name| format!("{name} = \"{digest}\"\n"));
        read(&format!(
            "{GOOD}\n[knowledge]\n{}",
            rows.collect::<String>()
        ))
    };
    let check = |name: &str, is_good: bool| {
        let read = file(&[format!("\"{name}\"")]);
        assert_eq!(read.is_ok(), is_good, "{name}");
    };
    check("handbook-1.0", true);
    check("0x1", false);
    check("a@b", false);
    check("", false);
    check(&"a".repeat(KNOWLEDGE_NAME_LEN_MAX), true);
    check(&"a".repeat(KNOWLEDGE_NAME_LEN_MAX + 1), false);
    let names: Vec<String> = (0..=KNOWLEDGE_MAX)
        .map(|number| format!("n{number}"))
        .collect();
    assert_eq!(file(&names[1..]).unwrap().knowledge["n1"], digest);
    let message = file(&names).unwrap_err();
    assert!(message.contains("1000 are the most"), "{message}");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = GOOD.replace("0.10", "x").replace("https://", "");
    let message = read(&text).unwrap_err();
    assert!(
        message.contains("urls: ") && message.contains("models: "),
        "{message}"
    );
    assert_eq!(message.trim().lines().count(), 1, "{message}");
}

#[test]
fn a_typo_is_told_in_one_line_with_its_place() {
    let message = read(&format!("nam = \"x\"\n{GOOD}")).unwrap_err();
    assert!(
        message.contains("line 1, column 1: unknown field `nam`"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_file_has_a_maximum() {
    let room = usize::try_from(FILE_BYTES_MAX).unwrap() - GOOD.len() - 1;
    read(&format!("{GOOD}#{}", "x".repeat(room))).unwrap();
    let message = read(&format!("{GOOD}#{}", "x".repeat(room + 1))).unwrap_err();
    assert!(message.contains("longer than"), "{message}");
}

#[test]
fn no_domain_is_told_as_that() {
    let home = tempfile::tempdir().unwrap();
    let error = DomainFile::read(&Folder::in_home(home.path()).file()).unwrap_err();
    assert!(error.to_string().contains("gaia domain init"), "{error}");
}

#[test]
fn a_deployment_is_read_as_it_is_written() {
    let text = r#"{"chainId": "31337", "genesis": "1700000000", "epochSeconds": "86400",
        "deployer": "0x0000000000000000000000000000000000000009",
        "token": "0x0000000000000000000000000000000000000001", "stable": "0x0000000000000000000000000000000000000002",
        "prices": "0x0000000000000000000000000000000000000003", "registry": "0x0000000000000000000000000000000000000004",
        "components": "0x0000000000000000000000000000000000000005", "escrow": "0x0000000000000000000000000000000000000006",
        "stake": "0x0000000000000000000000000000000000000007", "gateway": "0x0000000000000000000000000000000000000008",
        "domainId": "0x0101010101010101010101010101010101010101010101010101010101010101"}"#;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deployment.json");
    fs::write(&path, text).unwrap();
    let deployment = Deployment::read(&path).unwrap();
    assert_eq!(deployment.signing_domain().chain_id, 31_337);
    fs::write(&path, serde_json::to_string(&deployment).unwrap()).unwrap();
    assert_eq!(Deployment::read(&path).unwrap(), deployment);
    fs::write(&path, "{}").unwrap();
    let error = Deployment::read(&path).unwrap_err();
    assert!(
        error.to_string().contains("scripts/contracts.sh"),
        "{error}"
    );
}
