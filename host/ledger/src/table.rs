//! Rows: each loaded once, changed in memory, and written once before the commit of a batch.

use crate::sql::{Columns, Connection, SqlError, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A table whose rows decisions read and write.
pub(crate) trait Table {
    /// What finds a row.
    type Key: Ord + Copy;
    /// What stands in it besides.
    type Row: Copy + PartialEq;
    /// Finds one row by its key.
    const SELECT: &'static str;
    /// Writes one, key first.
    const UPSERT: &'static str;
    /// Removes one by its key.
    const DELETE: &'static str;

    /// Cells of the key.
    fn key(key: &Self::Key) -> Vec<Value>;
    /// Cells of the row, without the key.
    fn cells(row: &Self::Row) -> Vec<Value>;
    /// The row of these cells.
    fn row(columns: &mut Columns) -> Result<Self::Row, SqlError>;
    /// Whether the row says no more than that none is there.
    fn is_nothing(row: &Self::Row) -> bool;
}

/// Rows of a table that are kept from one batch to the next.
pub(crate) const ROWS_KEPT_MAX: usize = 10_000;

/// The rows of one table that batches have touched; `None`: there is none.
pub(crate) struct Rows<T: Table> {
    known: BTreeMap<T::Key, Option<T::Row>>,
    changed: BTreeSet<T::Key>,
}

impl<T: Table> Default for Rows<T> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }
}

impl<T: Table> Rows<T> {
    /// The row, as the batch has left it.
    pub(crate) fn get(
        &mut self,
        connection: &mut dyn Connection,
        key: T::Key,
    ) -> Result<Option<T::Row>, SqlError> {
        if let Some(row) = self.known.get(&key) {
            return Ok(*row);
        }
        let found = connection.query(T::SELECT, &T::key(&key))?;
        let row = found
            .into_iter()
            .next()
            .map(|mut columns| T::row(&mut columns))
            .transpose()?;
        self.known.insert(key, row);
        Ok(row)
    }

    /// Puts a row in its place.
    pub(crate) fn set(&mut self, key: T::Key, row: T::Row) {
        let row = (!T::is_nothing(&row)).then_some(row);
        self.known.insert(key, row);
        self.changed.insert(key);
    }

    /// Writes what has changed.
    pub(crate) fn flush(&mut self, connection: &mut dyn Connection) -> Result<(), SqlError> {
        for key in std::mem::take(&mut self.changed) {
            let mut values = T::key(&key);
            match self.known.get(&key) {
                Some(Some(row)) => {
                    values.extend(T::cells(row));
                    connection.execute(T::UPSERT, &values)?;
                }
                _ => connection.execute(T::DELETE, &values)?,
            }
        }
        Ok(())
    }

    /// Forgets everything, where there is more than is kept. To be called when all is written.
    pub(crate) fn bound(&mut self) {
        if self.known.len() > ROWS_KEPT_MAX {
            self.known.clear();
        }
    }
}

#[cfg(test)]
mod tests;
