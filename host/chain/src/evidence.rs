//! Receipts for the chain: the one that covers a charge, in the words of the contract.

use crate::contracts;
use gaia_ledger::account::EpochNumber;
use gaia_ledger::{AccountId, Command, Currency, LedgerAccount, Outcome, Receipt};
use gaia_ledger_store::{Ledger, ReadError, StoredReceipt};

/// The receipt of an account and epoch that says the highest cumulative, if that is at least `cumulative` and its
/// node has signed it. Reads the journal, which is slow, and only done when somebody has challenged.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn covering(
    ledger: &Ledger,
    account: AccountId,
    epoch: EpochNumber,
    cumulative: u64,
) -> Result<Option<StoredReceipt>, ReadError> {
    let currency = Currency::Usd(account.asset, epoch);
    let payer = LedgerAccount::Reserved(account.payer);
    let mut best: Option<StoredReceipt> = None;
    let mut from = 0;
    loop {
        let entries = ledger.entries(from).await?;
        let Some(last) = entries.last() else {
            return Ok(best);
        };
        from = last.number + 1;
        for entry in &entries {
            let (
                Command::Capture { reservation, .. },
                Outcome::Captured {
                    account_cumulative, ..
                },
            ) = (&entry.command, &entry.outcome)
            else {
                continue;
            };
            let is_of = |posting: &gaia_ledger::Posting| {
                posting.currency == currency && posting.account == payer
            };
            let known = best
                .as_ref()
                .map_or(0, |best| best.receipt.account_cumulative.get());
            let said = account_cumulative.get();
            if said < cumulative.max(known) || !entry.postings.iter().any(is_of) {
                continue;
            }
            let receipt = ledger.receipt(*reservation).await?;
            best = receipt
                .filter(|receipt| receipt.node_signature.is_some())
                .or(best);
        }
    }
}

/// A receipt as contracts take it.
#[must_use]
pub fn on_chain(receipt: &Receipt) -> contracts::Receipt {
    contracts::Receipt {
        domainId: receipt.domain_id,
        requestId: receipt.request_id,
        keyId: receipt.key_id,
        payer: receipt.payer,
        asset: receipt.asset,
        node: receipt.node,
        operator: receipt.operator,
        model: receipt.model.0,
        priceVersion: receipt.price_version,
        inputTokens: receipt.tokens.input,
        cachedTokens: receipt.tokens.cached,
        outputTokens: receipt.tokens.output,
        cost: receipt.cost.get(),
        keyCumulative: receipt.key_cumulative.get(),
        accountCumulative: receipt.account_cumulative.get(),
        nodeCumulative: receipt.node_cumulative.get(),
        epoch: receipt.epoch.0,
        time: receipt.time.0,
    }
}
