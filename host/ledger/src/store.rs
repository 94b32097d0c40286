//! One command within a transaction: load what it touches, decide, write.
//!
//! Invariant: what a batch leaves in the tables is what [`gaia_ledger::Book`] would hold after the same
//! commands.

use crate::journal;
use crate::sql::{Connection, SqlError};
use crate::table::Rows;
use crate::tables::{
    Accounts, EARNED_OF_EPOCH, Earned, EpochsTable, Nodes, OwedTable, Pools, Reservations, Shares,
    Tokens, address, count, read_earned,
};
use alloy_primitives::Address;
use gaia_ledger::account::{EpochNumber, KeyId, ReservationId, Timestamp};
use gaia_ledger::entry::Answer;
use gaia_ledger::rows::{NodeKey, OpenEpoch, Owed, Touched};
use gaia_ledger::{
    AccountId, Command, Currency, Decision, Entry, IdempotencyKey, LedgerAccount, NanoUsd, Outcome,
    Posting, Refusal, Row, View, decide,
};

/// A command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// By the rules: nothing has changed, the batch goes on.
    Refused(Refusal),
    /// By the database: the batch is to be taken back.
    Sql(SqlError),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What is known of the tables from one batch to the next, as long as nobody else writes to them.
#[derive(Default)]
pub(crate) struct Kept {
    next_entry: Option<u64>,
    epochs: Rows<EpochsTable>,
    accounts: Rows<Accounts>,
    owed: Rows<OwedTable>,
    tokens: Rows<Tokens>,
    reservations: Rows<Reservations>,
    nodes: Rows<Nodes>,
    earned: Rows<Earned>,
    pools: Rows<Pools>,
    shares: Rows<Shares>,
}

impl Kept {
    fn flush(&mut self, connection: &mut dyn Connection) -> Result<(), SqlError> {
        self.epochs.flush(connection)?;
        self.accounts.flush(connection)?;
        self.owed.flush(connection)?;
        self.tokens.flush(connection)?;
        self.reservations.flush(connection)?;
        self.nodes.flush(connection)?;
        self.earned.flush(connection)?;
        self.pools.flush(connection)?;
        self.shares.flush(connection)
    }

    fn bound(&mut self) {
        self.epochs.bound();
        self.accounts.bound();
        self.owed.bound();
        self.tokens.bound();
        self.reservations.bound();
        self.nodes.bound();
        self.earned.bound();
        self.pools.bound();
        self.shares.bound();
    }
}

/// A transaction that is open, and the rows that it touches. After an error of the database nothing of what is kept is
/// true any more: it goes with the connection.
pub(crate) struct Batch<'a> {
    connection: &'a mut dyn Connection,
    rows: &'a mut Kept,
}

impl<'a> Batch<'a> {
    /// Begins the transaction.
    pub(crate) fn begin(
        connection: &'a mut dyn Connection,
        rows: &'a mut Kept,
    ) -> Result<Self, SqlError> {
        connection.begin()?;
        if connection.others_wrote()? {
            *rows = Kept::default();
        }
        Ok(Self::resume(connection, rows))
    }

    /// Goes on with one that was begun.
    pub(crate) fn resume(connection: &'a mut dyn Connection, rows: &'a mut Kept) -> Self {
        Self { connection, rows }
    }

    /// Carries a command out, once for each key; the entry is the new one, or the one that is there.
    pub(crate) fn execute(
        &mut self,
        key: &IdempotencyKey,
        command: &Command,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        if let Some(before) = journal::find(self.connection, key)? {
            return match before.answers(command) {
                Answer::Before(outcome) => Ok(*outcome),
                Answer::Another => Err(Refusal::KeyReused(key.clone()).into()),
            };
        }
        let view = self.view(command)?;
        let Decision {
            postings,
            rows,
            outcome,
        } = decide(&view, command, now)?;
        for row in rows {
            self.write(row);
        }
        for posting in &postings {
            self.earn(posting)?;
        }
        let number = match self.rows.next_entry {
            Some(next) => next,
            None => journal::next_number(self.connection)?,
        };
        let entry = Entry {
            number,
            key: key.clone(),
            time: now,
            command: command.clone(),
            postings,
            outcome,
        };
        journal::append(self.connection, &entry)?;
        self.rows.next_entry = Some(number + 1);
        Ok(outcome)
    }

    /// The connection, for what belongs into the same transaction.
    pub(crate) fn connection(&mut self) -> &mut dyn Connection {
        self.connection
    }

    /// Writes the rows and commits, as [`Connection::commit_soon`].
    pub(crate) fn commit(self) -> Result<(), SqlError> {
        self.rows.flush(self.connection)?;
        self.connection.commit_soon()?;
        self.rows.bound();
        Ok(())
    }

    fn write(&mut self, row: Row) {
        match row {
            Row::Epochs(asset, row) => self.rows.epochs.set(asset, row),
            Row::Account(account, row) => self.rows.accounts.set(account, row),
            Row::Owed(account, epoch, row) => self.rows.owed.set((account, epoch), row),
            Row::Token(account, key, row) => self.rows.tokens.set((account, key), row),
            Row::Reservation(id, row) => self.rows.reservations.set(id, row),
            Row::Node(key, row) => self.rows.nodes.set(key, row),
            Row::Pool(asset, epoch, row) => self.rows.pools.set((asset, epoch), row),
            Row::Share(party, asset, row) => self.rows.shares.set((party, asset), row),
        }
    }

    /// Keeps the sum of what a party has earned in an epoch.
    fn earn(&mut self, posting: &Posting) -> Result<(), Failure> {
        let (LedgerAccount::Earned(party), Currency::Usd(asset, epoch)) =
            (posting.account, posting.currency)
        else {
            return Ok(());
        };
        let key = (asset, epoch, party);
        let before = self
            .rows
            .earned
            .get(self.connection, key)?
            .unwrap_or_default();
        let after = before.get().checked_add_signed(posting.amount);
        let damaged = Refusal::Damaged("a party has earned less than nothing");
        self.rows
            .earned
            .set(key, after.and_then(NanoUsd::new).ok_or(damaged)?);
        Ok(())
    }

    fn view(&mut self, command: &Command) -> Result<View, SqlError> {
        match command.touches() {
            Touched::Asset(asset) => self.view_of_asset(asset),
            Touched::Account(account) => self.view_of_account(account),
            Touched::Reserve(account, key, id) => self.view_of_request(account, key, id),
            Touched::Reservation(id) => match self.rows.reservations.get(self.connection, id)? {
                Some(row) => self.view_of_request(row.account, row.key, id),
                None => Ok(View::default()),
            },
            Touched::Capture {
                reservation,
                node,
                operator,
            } => self.view_of_capture(reservation, node, operator),
            Touched::CloseAccount(account, epoch) => Ok(View {
                pool: self
                    .rows
                    .pools
                    .get(self.connection, (account.asset, epoch))?
                    .unwrap_or_default(),
                ..self.view_of_account(account)?
            }),
            Touched::Epoch(asset, epoch) => self.view_of_epoch(asset, epoch),
            Touched::Share(party, asset) => Ok(View {
                shares: vec![(
                    party,
                    self.rows
                        .shares
                        .get(self.connection, (party, asset))?
                        .unwrap_or_default(),
                )],
                ..View::default()
            }),
        }
    }

    fn view_of_asset(&mut self, asset: Address) -> Result<View, SqlError> {
        Ok(View {
            epochs: self
                .rows
                .epochs
                .get(self.connection, asset)?
                .unwrap_or_default(),
            ..View::default()
        })
    }

    fn view_of_account(&mut self, account: AccountId) -> Result<View, SqlError> {
        let view = self.view_of_asset(account.asset)?;
        Ok(View {
            account: self
                .rows
                .accounts
                .get(self.connection, account)?
                .unwrap_or_default(),
            current: self.owed_of(account, view.epochs.current)?,
            closing: self.owed_of(account, view.epochs.closing)?,
            ..view
        })
    }

    fn owed_of(&mut self, account: AccountId, epoch: Option<OpenEpoch>) -> Result<Owed, SqlError> {
        let Some(epoch) = epoch else {
            return Ok(Owed::default());
        };
        let owed = self
            .rows
            .owed
            .get(self.connection, (account, epoch.number))?;
        Ok(owed.unwrap_or_default())
    }

    fn view_of_request(
        &mut self,
        account: AccountId,
        key: KeyId,
        id: ReservationId,
    ) -> Result<View, SqlError> {
        Ok(View {
            token: self
                .rows
                .tokens
                .get(self.connection, (account, key))?
                .unwrap_or_default(),
            reservation: self.rows.reservations.get(self.connection, id)?,
            ..self.view_of_account(account)?
        })
    }

    fn view_of_capture(
        &mut self,
        id: ReservationId,
        node: Address,
        operator: Option<Address>,
    ) -> Result<View, SqlError> {
        let Some(row) = self.rows.reservations.get(self.connection, id)? else {
            return Ok(View::default());
        };
        let asset = row.account.asset;
        let key = operator.map(|operator| NodeKey {
            node,
            operator,
            asset,
        });
        let earned = match key {
            Some(key) => self.rows.nodes.get(self.connection, key)?,
            None => None,
        };
        Ok(View {
            node: earned.unwrap_or_default(),
            ..self.view_of_request(row.account, row.key, id)?
        })
    }

    /// Sums over many rows: what the batch has changed must be in the tables first.
    fn view_of_epoch(&mut self, asset: Address, epoch: EpochNumber) -> Result<View, SqlError> {
        self.rows.flush(self.connection)?;
        let values = [address(asset), count(epoch.0)];
        let earned = self.connection.query(EARNED_OF_EPOCH, &values)?;
        let earned: Vec<_> = earned
            .into_iter()
            .map(read_earned)
            .collect::<Result<_, _>>()?;
        let mut addresses: Vec<Address> = earned.iter().map(|(party, _)| party.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut shares = Vec::with_capacity(addresses.len());
        for party in addresses {
            let row = self.rows.shares.get(self.connection, (party, asset))?;
            shares.push((party, row.unwrap_or_default()));
        }
        Ok(View {
            pool: self
                .rows
                .pools
                .get(self.connection, (asset, epoch))?
                .unwrap_or_default(),
            reserved_open: journal::reserved_open(self.connection, asset, epoch)?,
            shares,
            earned,
            ..self.view_of_asset(asset)?
        })
    }
}
