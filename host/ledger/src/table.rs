//! Rows of a batch: each loaded once, changed in memory, and written once before the commit.

use crate::sql::{Columns, Connection, SqlError, Value};
use std::collections::BTreeMap;

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

struct Slot<R> {
    row: Option<R>,
    dirty: bool,
}

/// The rows of one table that a batch has touched.
pub(crate) struct Rows<T: Table>(BTreeMap<T::Key, Slot<T::Row>>);

impl<T: Table> Default for Rows<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Table> Rows<T> {
    /// The row, as the batch has left it.
    pub(crate) fn get(
        &mut self,
        connection: &mut dyn Connection,
        key: T::Key,
    ) -> Result<Option<T::Row>, SqlError> {
        if let Some(slot) = self.0.get(&key) {
            return Ok(slot.row);
        }
        let found = connection.query(T::SELECT, &T::key(&key))?;
        let row = found
            .into_iter()
            .next()
            .map(|mut columns| T::row(&mut columns))
            .transpose()?;
        self.0.insert(key, Slot { row, dirty: false });
        Ok(row)
    }

    /// Puts a row in its place.
    pub(crate) fn set(&mut self, key: T::Key, row: T::Row) {
        let row = (!T::is_nothing(&row)).then_some(row);
        self.0.insert(key, Slot { row, dirty: true });
    }

    /// Writes what has changed, and forgets everything.
    pub(crate) fn flush(&mut self, connection: &mut dyn Connection) -> Result<(), SqlError> {
        for (key, slot) in std::mem::take(&mut self.0) {
            let mut values = T::key(&key);
            match slot {
                Slot { dirty: false, .. } => {}
                Slot { row: Some(row), .. } => {
                    values.extend(T::cells(&row));
                    connection.execute(T::UPSERT, &values)?;
                }
                Slot { row: None, .. } => connection.execute(T::DELETE, &values)?,
            }
        }
        Ok(())
    }
}
