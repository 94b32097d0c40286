//! Policies: read, put into words, and held to.

use crate::scene::*;
use alloy_primitives::B256;
use gaia_registry::config::prompts_digest;
use gaia_registry::join::LastNonces;
use gaia_registry::policy::{LIST_LEN_MAX, PolicyError};
use gaia_registry::{NodeConfig, Policy, PolicyRefusal};

fn admit(policy: &str, config: &NodeConfig, staked: u64) -> Result<(), PolicyRefusal> {
    let verified = request(1, 101, 1).verify(&PLACE, LastNonces::default(), NOW);
    Policy::parse(policy)
        .unwrap()
        .admit(&verified.unwrap(), config, staked)
}

fn check(policy: &str, admitted: bool) {
    let result = admit(policy, &config(), 0);
    assert_eq!(result.is_ok(), admitted, "{policy}: {result:?}");
}

#[test]
fn lists_name_nodes_or_operators_and_deny_wins() {
    let (node, operator, other) = (address(1), address(101), address(2));
    check("admission = \"open\"", true);
    check(&format!("allow = [\"{node}\"]"), true);
    check(&format!("allow = [\"{operator}\"]"), true);
    check(&format!("allow = [\"{other}\"]"), false);
    check(
        &format!("admission = \"open\"\ndeny = [\"{operator}\"]"),
        false,
    );
    check(&format!("admission = \"open\"\ndeny = [\"{other}\"]"), true);
    check(&format!("allow = [\"{node}\"]\ndeny = [\"{node}\"]"), false);
}

#[test]
fn required_digests_and_the_stake_are_asked_for() {
    let check = |key: &str, digest: B256, refusal: Option<PolicyRefusal>| {
        let policy = format!("admission = \"open\"\n{key} = [\"{digest}\"]");
        assert_eq!(admit(&policy, &config(), 0).err(), refusal, "{policy}");
    };
    let NodeConfig {
        model,
        knowledge,
        prompts,
        ..
    } = config();
    check("required_models", model, None);
    check(
        "required_models",
        B256::ZERO,
        Some(PolicyRefusal::Model(model)),
    );
    check("required_knowledge", knowledge, None);
    check(
        "required_knowledge",
        B256::ZERO,
        Some(PolicyRefusal::Knowledge(knowledge)),
    );
    check("required_prompts", prompts, None);
    check(
        "required_prompts",
        B256::ZERO,
        Some(PolicyRefusal::Prompts(prompts)),
    );
    let stake = "admission = \"open\"\nminimum_stake = 5";
    assert_eq!(admit(stake, &config(), 5), Ok(()));
    assert_eq!(
        admit(stake, &config(), 4),
        Err(PolicyRefusal::Stake {
            staked: 4,
            minimum: 5
        })
    );
}

#[test]
fn a_configuration_that_was_not_signed_is_refused() {
    let other = NodeConfig {
        engine: "gaia 0.2.0".to_owned(),
        ..config()
    };
    assert_eq!(
        admit("admission = \"open\"", &other, 0),
        Err(PolicyRefusal::ConfigHash {
            found: other.hash(),
            signed: config().hash()
        })
    );
}

#[test]
fn every_part_of_a_configuration_is_in_its_hash() {
    let changes: [fn(&mut NodeConfig); 4] = [
        |config| config.model = B256::ZERO,
        |config| config.knowledge = B256::ZERO,
        |config| config.prompts = B256::ZERO,
        |config| config.engine.push(' '),
    ];
    for change in changes {
        let mut other = config();
        change(&mut other);
        assert_ne!(other.hash(), config().hash());
    }
    let digest = prompts_digest(&[("a", "bc"), ("d", "e")]);
    assert_eq!(digest, prompts_digest(&[("d", "e"), ("a", "bc")]));
    assert_ne!(digest, prompts_digest(&[("ab", "c"), ("d", "e")]));
    assert_ne!(digest, prompts_digest(&[("a", "bcd"), ("", "e")]));
    assert_ne!(digest, prompts_digest(&[("a", "bc")]));
}

#[test]
fn what_is_no_policy_is_refused() {
    assert_eq!(Policy::parse(""), Err(PolicyError::Nobody));
    for wrong in [
        "admission = \"opne\"",
        "admission = \"open\"\nalow = []",
        "admission = \"open\"\nallow = [\"0x12\"]",
        "admission = \"open\"\nminimum_stake = -1",
        "admission",
    ] {
        assert!(
            matches!(Policy::parse(wrong), Err(PolicyError::Read(_))),
            "{wrong}"
        );
    }
}

#[test]
fn a_typo_is_told_in_one_line_with_its_place() {
    let text = "# mine\nadmission = \"open\"\nalow = []\n";
    let said = Policy::parse(text).unwrap_err().to_string();
    assert!(
        said.starts_with("line 3, column 1: unknown field `alow`, expected one of"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_list_is_bounded() {
    let list = |len: usize| {
        let entries = (0..len)
            .map(|n| format!("\"0x{n:064x}\""))
            .collect::<Vec<_>>();
        format!(
            "admission = \"open\"\nrequired_models = [{}]",
            entries.join(",")
        )
    };
    assert!(Policy::parse(&list(LIST_LEN_MAX)).is_ok());
    assert_eq!(
        Policy::parse(&list(LIST_LEN_MAX + 1)),
        Err(PolicyError::TooLong {
            list: "required_models",
            len: LIST_LEN_MAX + 1
        })
    );
}

#[test]
fn a_policy_is_told_in_words() {
    let check = |text: &str, words: &[&str]| {
        assert_eq!(Policy::parse(text).unwrap().explain(), words);
    };
    check(
        "admission = \"open\"",
        &["Anybody may join who is not denied."],
    );
    let (a, b, digest) = (address(1), address(2), B256::ZERO);
    check(
        &format!(
            "allow = [\"{a}\", \"{b}\"]\ndeny = [\"{b}\"]\nrequired_models = [\"{digest}\"]\n\
             required_knowledge = [\"{digest}\", \"{}\"]\nminimum_stake = 7",
            B256::repeat_byte(1)
        ),
        &[
            "Only nodes and operators on the list may join (2).",
            "One address is denied.",
            &format!("A node must serve with the model {digest}."),
            "A node must serve with one of 2 knowledge bases.",
            "Its operator must have staked 7 nano-units.",
        ],
    );
}
