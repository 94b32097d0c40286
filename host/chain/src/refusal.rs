//! What a contract refuses with, in a sentence that says what to do.

use crate::contracts::Refusals::RefusalsErrors as Error;
use alloy_primitives::{Address, hex};
use alloy_sol_types::{Revert, SolError as _, SolInterface as _};
use gaia_ledger::{NanoUnits, NanoUsd};

/// Why a contract did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The contract's error, where it is one of ours.
    pub error: Option<Box<Error>>,
    /// What that means.
    pub sentence: String,
}

impl Refusal {
    /// Whether it is this error of ours.
    #[must_use]
    pub fn is(&self, which: impl Fn(&Error) -> bool) -> bool {
        self.error.as_deref().is_some_and(which)
    }

    /// From what a call that reverted gave back.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        if let Ok(error) = Error::abi_decode(data) {
            let sentence = sentence(&error);
            return Self {
                error: Some(Box::new(error)),
                sentence,
            };
        }
        let sentence = match Revert::abi_decode(data) {
            Ok(revert) => format!("the contract refused: {}", revert.reason),
            Err(_) if data.is_empty() => {
                "the contract refused without a reason: is it the right address, on the right chain?"
                    .to_owned()
            }
            Err(_) => format!(
                "the contract refused with an error that is not known here ({}…): is this program as new as the contracts?",
                hex::encode_prefixed(data.get(..4).unwrap_or(data))
            ),
        };
        Self {
            error: None,
            sentence,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

fn sentence(error: &Error) -> String {
    money(error)
        .or_else(|| settlement(error))
        .or_else(|| challenge(error))
        .unwrap_or_else(|| registry(error))
}

/// Deposits, refunds, claims.
fn money(error: &Error) -> Option<String> {
    Some(match error {
        Error::EscrowAssetNotTaken(e) => {
            format!(
                "the domain does not take the asset {}: use one that it lists",
                e.asset
            )
        }
        Error::EscrowNotBound(_) => {
            "this escrow is not the domain's: do not deposit; ask the domain's owner".to_owned()
        }
        Error::EscrowNothingArrived(_) => {
            "nothing to deposit: name an amount above zero".to_owned()
        }
        Error::EscrowArrivedOther(e) => format!(
            "the token delivered {} of {} base units: one that keeps a fee cannot be deposited",
            e.arrived, e.sent
        ),
        Error::EscrowBalanceTooLarge(_) => {
            "the account would hold more than it can: deposit less".to_owned()
        }
        Error::EscrowBalanceTooSmall(e) => format!(
            "the account of {} cannot pay {}: it has drawn a refund meanwhile",
            e.payer,
            usd(e.cost)
        ),
        Error::RefundAmountOutOfRange(e) => format!(
            "{} asked back, {} are there: ask for that or less",
            units(e.amount),
            units(e.balance)
        ),
        Error::RefundNotRequested(_) => {
            "no refund was asked for: gaia refund DOMAIN AMOUNT".to_owned()
        }
        Error::RefundNotYet(e) => format!(
            "the refund can be drawn from {} s since 1970 on: wait until then",
            e.availableAt
        ),
        Error::RefundNothingLeft(_) => "charges have left nothing of the refund".to_owned(),
        Error::NanoNotWhole(_) => {
            "the amount is finer than nine digits after the point: round it".to_owned()
        }
        Error::NanoTooMuch(_) => "the amount is more than an account can hold: split it".to_owned(),
        Error::ClaimProofWrong(_) => {
            "the proof is not of the tree that is on the chain: fetch it again".to_owned()
        }
        Error::ClaimNothing(_) => {
            "nothing to claim: all that was earned is paid, or less than a base unit is left"
                .to_owned()
        }
        Error::ERC20InsufficientBalance(e) => format!(
            "{} has {} base units of the token, {} are needed: get more first",
            e.sender, e.balance, e.needed
        ),
        Error::ERC20InsufficientAllowance(e) => format!(
            "{} may take {} base units, {} are needed: approve them first",
            e.spender, e.allowance, e.needed
        ),
        _ => return None,
    })
}

fn settlement(error: &Error) -> Option<String> {
    Some(match error {
        Error::SettlementNotAuthorised(e) => not_authorised(e.caller),
        Error::SettlementEpochOutOfRange(e) => format!(
            "epoch {} is not over, or too long ago: settle within eight epochs",
            e.epoch
        ),
        Error::SettlementChargeCount(e) => {
            format!("a batch has 1 to 256 charges, this has {}", e.charges)
        }
        Error::SettlementNotSorted(e) => {
            format!(
                "charge {} stands in the wrong place: sort by payer, then asset",
                e.index
            )
        }
        Error::SettlementCostZero(e) => format!("charge {} is of nothing: leave it out", e.index),
        Error::SettlementCumulativeWrong(e) => format!(
            "charge {} does not follow what is charged already ({} with it): read the account again",
            e.index,
            usd(e.expected)
        ),
        Error::SettlementChargesOther(e) => {
            format!(
                "proposal {} has other charges: fetch those that were proposed",
                e.proposal
            )
        }
        Error::SettlementNotOpen(e) => format!("proposal {} is over", e.proposal),
        Error::SettlementWindowOpen(e) => format!(
            "charges can be challenged until {} s since 1970: finalise after that",
            e.closesAt
        ),
        Error::SettlementWindowClosed(e) => {
            format!(
                "the window for challenges closed at {} s since 1970",
                e.closesAt
            )
        }
        Error::SettlementChallenged(e) => format!(
            "{} challenges wait for an answer: answer them, then finalise",
            e.openChallenges
        ),
        Error::PriceNotReporter(e) => {
            format!(
                "{} reports no prices: governance chooses who does",
                e.caller
            )
        }
        Error::PriceOutOfRange(e) => format!("{} nano-USD is no price for a token", e.price),
        Error::PriceNotRolled(e) => {
            format!(
                "the price of epoch {} is not fixed yet: gaia settle does that",
                e.epoch
            )
        }
        Error::PriceStale(e) => format!(
            "the token has no price in epoch {}: its reporters have posted nothing for too long",
            e.epoch
        ),
        _ => return None,
    })
}

fn challenge(error: &Error) -> Option<String> {
    Some(match error {
        Error::ChallengeBondWrong(e) => format!("a challenge takes a bond of {} wei", e.bond),
        Error::ChallengeIndex(e) => format!("there is no charge {}", e.index),
        Error::ChallengeTwice(e) => format!("charge {} is challenged already", e.index),
        Error::ChallengeNotOpen(e) => format!("charge {} is not challenged", e.index),
        Error::ChallengeInTime(e) => format!(
            "the domain may answer until {} s since 1970: cancel after that",
            e.respondBy
        ),
        Error::ChallengeTooLate(e) => {
            format!("an answer was due by {} s since 1970", e.respondBy)
        }
        Error::ReceiptNotOfCharge(_) => {
            "the receipt is of another account, epoch or domain: choose one of the charge's"
                .to_owned()
        }
        Error::ReceiptTooSmall(e) => format!(
            "the receipt proves {}, the charge says {}: choose the epoch's last",
            usd(e.accountCumulative),
            usd(e.cumulative)
        ),
        Error::ReceiptCostWrong(e) => format!(
            "the receipt costs {}, the published table says {} nano-USD: publish the table that was used",
            usd(e.cost),
            e.expected
        ),
        Error::ReceiptNodeUnknown(e) => {
            format!("{} was never admitted on the chain: admit it first", e.node)
        }
        Error::ReceiptNodeSignatureWrong(e) => {
            format!("the receipt is not signed by its node {}", e.node)
        }
        Error::ReceiptGatewaySignatureWrong(_) => {
            "the receipt is not signed by the domain's present gateway key: sign it again"
                .to_owned()
        }
        Error::ContestNoTree(e) => format!("proposal {} brings no tree of shares", e.proposal),
        Error::ContestReceiptCount(e) => {
            format!("a contest takes 1 to 16 receipts, not {}", e.receipts)
        }
        Error::ContestReceiptOther(e) => format!(
            "receipt {} is of another operator, asset or a later epoch, or stands in the wrong place: sort by node",
            e.index
        ),
        Error::ContestTreeOther(e) => {
            format!("the leaves make the root {}, not the proposal's", e.root)
        }
        Error::ContestTreeNotShown(e) => {
            format!(
                "the tree was not shown for {} yet: show all its leaves first",
                e.asset
            )
        }
        Error::ContestShareTooSmall(e) => format!(
            "the tree gives {} nano-units, receipts say {}: it cannot be defended",
            e.share, e.least
        ),
        Error::BondNothing(_) => "there are no bonds to draw".to_owned(),
        Error::BondRefused(_) => "the account does not take the bond".to_owned(),
        _ => return None,
    })
}

fn registry(error: &Error) -> String {
    match error {
        Error::DomainUnknown(e) => format!(
            "there is no domain {} in this registry: is it the right chain?",
            e.domainId
        ),
        Error::DomainNotOwner(e) => {
            format!("{} does not own the domain: use its owner's key", e.caller)
        }
        Error::DomainNotAuthorised(e) => not_authorised(e.caller),
        Error::PricesRowCount(e) => {
            format!("a price table has 1 to 64 models, this has {}", e.rows)
        }
        Error::PricesModelTwice(e) => format!("the model {} stands twice in the table", e.model),
        Error::PricesTooHigh(e) => format!("a price of the model {} is too high", e.model),
        Error::PricesUnknown(e) => format!(
            "price table {} with the model {} is not published: publish it",
            e.version, e.model
        ),
        Error::NodeStatementExpired(e) => {
            format!(
                "the statement expired at {} s since 1970: sign it again",
                e.expiry
            )
        }
        Error::NodeStatementReplayed(e) => format!(
            "{} has used the number {} or a higher one: sign with a higher one",
            e.signer, e.nonce
        ),
        Error::NodeSignatureWrong(e) => {
            format!("the statement is not signed by the node {}", e.node)
        }
        Error::NodeConsentMismatch(_) => {
            "the operator's consent is for another node or domain".to_owned()
        }
        Error::NodeConsentSignatureWrong(e) => {
            format!("the consent is not signed by the operator {}", e.operator)
        }
        Error::NodeEndpointTooLong(e) => format!("an endpoint of {} bytes is too long", e.length),
        Error::NodeNotActive(e) => format!("{} is no node of the domain", e.node),
        other => format!("the contract refused: {other:?}"),
    }
}

fn not_authorised(caller: Address) -> String {
    format!("{caller} does not speak for the domain: use its owner's or its gateway's key")
}

fn usd(nano: u64) -> String {
    NanoUsd::new(nano).map_or(nano.to_string(), |usd| format!("{} USD", usd.decimal()))
}

fn units(nano: u64) -> String {
    NanoUnits::new(nano).map_or(nano.to_string(), |units| units.decimal().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::Refusals;

    #[test]
    fn every_error_has_a_sentence_of_its_own() {
        for selector in Error::selectors() {
            let data = [selector.as_slice(), &[0; 32 * 4]].concat();
            let refusal = Refusal::decode(&data);
            assert!(refusal.error.is_some(), "{selector:?}");
            assert!(
                !refusal.sentence.contains("refused"),
                "{}",
                refusal.sentence
            );
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let check = |data: Vec<u8>, part: &str| {
            let sentence = Refusal::decode(&data).sentence;
            assert!(sentence.contains(part), "{sentence}");
        };
        let refund = Refusals::RefundAmountOutOfRange {
            amount: 12_500_000_000,
            balance: 1,
        };
        check(
            refund.abi_encode(),
            "12.5 asked back, 0.000000001 are there",
        );
        check(Revert::from("too bad").abi_encode(), "too bad");
        check(Vec::new(), "right chain");
        check(vec![1, 2, 3, 4], "0x01020304");
        check(vec![1], "0x01");
    }
}
