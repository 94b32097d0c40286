//! PostgreSQL: one ledger for several gateways.
//!
//! A transaction that writes holds an advisory lock of the whole ledger until it commits. So entries have
//! numbers without gaps and nothing can deadlock; gateways write in batches, and take turns.

use super::{Columns, Connection, SqlError, Value, route};
use postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use postgres::{Client, Statement};
use std::collections::HashMap;
use std::error::Error;

pub(crate) struct Postgres {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

/// Name of the lock: "gaia" and a number.
const LOCK: &str = "BEGIN; SELECT pg_advisory_xact_lock(1734436193, 1)";

/// A commit that is answered is on the disk, whatever the server's default; nobody waits forever.
const SESSION: &str =
    "SET synchronous_commit = on; SET statement_timeout = '20s'; SET lock_timeout = '10s'";

impl Postgres {
    /// Connects to a `postgres://` URL.
    pub(crate) fn open(url: &str) -> Result<Self, SqlError> {
        let mut client = route::connect(url)?;
        client.batch_execute(SESSION)?;
        Ok(Self {
            client,
            statements: HashMap::new(),
        })
    }

    fn statement(&mut self, sql: &'static str) -> Result<Statement, SqlError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Connection for Postgres {
    fn begin(&mut self) -> Result<(), SqlError> {
        Ok(self.client.batch_execute(LOCK)?)
    }

    fn commit(&mut self) -> Result<(), SqlError> {
        Ok(self.client.batch_execute("COMMIT")?)
    }

    fn rollback(&mut self) {
        // Where the connection is gone, the server does it.
        self.client.batch_execute("ROLLBACK").ok();
    }

    fn script(&mut self, sql: &str) -> Result<(), SqlError> {
        Ok(self.client.batch_execute(sql)?)
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<(), SqlError> {
        let statement = self.statement(sql)?;
        self.client.execute(&statement, &places(values))?;
        Ok(())
    }

    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Columns>, SqlError> {
        let statement = self.statement(sql)?;
        let rows = self.client.query(&statement, &places(values))?;
        rows.iter().map(columns).collect()
    }
}

fn places(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

fn columns(row: &postgres::Row) -> Result<Columns, SqlError> {
    let cell = |index: usize| -> Result<Value, SqlError> {
        Ok(match *row.columns()[index].type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index)?.map(Value::Integer),
            Type::TEXT => row.try_get::<_, Option<String>>(index)?.map(Value::Text),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index)?.map(Value::Bytes),
            // The ledger has no others: read as nothing, so that the reader objects.
            _ => None,
        }
        .unwrap_or(Value::Null))
    };
    let cells: Result<Vec<_>, _> = (0..row.len()).map(cell).collect();
    Ok(Columns::new(cells?))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

impl From<postgres::Error> for SqlError {
    fn from(error: postgres::Error) -> Self {
        let mut said = format!("PostgreSQL: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let cause = (cause.to_string(), cause.source());
            if !said.contains(&cause.0) {
                said.push_str(": ");
                said.push_str(&cause.0);
            }
            source = cause.1;
        }
        Self::Database(said)
    }
}
