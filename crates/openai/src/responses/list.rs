//! Lists in pieces: what follows what, newest first unless asked otherwise.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ApiError;

/// Entries of a piece that names no number.
const ENTRIES_DEFAULT: usize = 20;

/// Entries of a piece.
pub const ENTRIES_MAX: usize = 100;

/// Which piece of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    ascending: bool,
    after: Option<String>,
    before: Option<String>,
}

/// A piece of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// Always `list`.
    pub object: Cow<'static, str>,
    /// The entries.
    pub data: Vec<T>,
    /// The first entry's identifier.
    pub first_id: Option<String>,
    /// The last entry's identifier, for `after` of the next request.
    pub last_id: Option<String>,
    /// Whether there are more.
    pub has_more: bool,
}

impl Page {
    /// Reads what stands after a path's `?`, taken apart already.
    ///
    /// # Errors
    /// 400 naming what is wrong.
    pub fn parse<'a>(
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ApiError> {
        let mut page = Self {
            limit: ENTRIES_DEFAULT,
            ascending: false,
            after: None,
            before: None,
        };
        for (key, value) in query {
            match (key, value) {
                ("limit", number) => page.limit = limit(number)?,
                ("order", "asc") => page.ascending = true,
                ("order", "desc") => page.ascending = false,
                ("order", _) => {
                    let message = "`order` must be `asc` or `desc`.";
                    return Err(ApiError::invalid_value("order", message));
                }
                ("after", id) => page.after = Some(id.to_owned()),
                ("before", id) => page.before = Some(id.to_owned()),
                _ => {}
            }
        }
        Ok(page)
    }

    /// Refuses to go on after, or to end before, what is not one of `entries`, of which none ever goes.
    ///
    /// # Errors
    /// 400 naming `after` or `before`.
    pub fn check_named<T>(&self, entries: &[T], id: impl Fn(&T) -> &str) -> Result<(), ApiError> {
        for (param, named) in [("after", &self.after), ("before", &self.before)] {
            if let Some(named) = named
                && !entries.iter().any(|entry| id(entry) == named)
            {
                let shown: String = named.chars().take(128).collect();
                let message = format!("`{param}`: there is no entry '{shown}' in this list.");
                return Err(ApiError::invalid_value(param, message));
            }
        }
        Ok(())
    }

    /// The piece of `entries`, which are given oldest first. With `before` alone it is the last piece that ends
    /// there: the one before a piece that begins with it.
    pub fn of<T>(&self, mut entries: Vec<T>, id: impl Fn(&T) -> &str) -> List<T> {
        if !self.ascending {
            entries.reverse();
        }
        let place = |of: &[T], named: &str| of.iter().position(|entry| id(entry) == named);
        if let Some(before) = &self.before {
            let end = place(&entries, before).unwrap_or_default();
            entries.truncate(end);
        }
        let begin = match (&self.after, &self.before) {
            (Some(after), _) => place(&entries, after).map_or(entries.len(), |at| at + 1),
            (None, Some(_)) => entries.len().saturating_sub(self.limit),
            (None, None) => 0,
        };
        let mut data = entries.split_off(begin);
        let is_backwards = self.after.is_none() && self.before.is_some();
        let has_more = match is_backwards {
            true => begin > 0,
            false => data.len() > self.limit,
        };
        data.truncate(self.limit);
        List {
            object: Cow::Borrowed("list"),
            first_id: data.first().map(|entry| id(entry).to_owned()),
            last_id: data.last().map(|entry| id(entry).to_owned()),
            data,
            has_more,
        }
    }
}

fn limit(number: &str) -> Result<usize, ApiError> {
    let limit = number.parse().ok();
    limit
        .filter(|limit| (1..=ENTRIES_MAX).contains(limit))
        .ok_or_else(|| {
            let message = format!("`limit` must be between 1 and {ENTRIES_MAX}.");
            ApiError::invalid_value("limit", message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &[(&str, &str)], expected: &[&str], has_more: bool) {
        let page = Page::parse(query.iter().copied()).unwrap();
        let list = page.of(vec!["a", "b", "c"], |entry| entry);
        assert_eq!((list.data.as_slice(), list.has_more), (expected, has_more));
        assert_eq!(list.last_id.as_deref(), expected.last().copied());
    }

    #[test]
    fn pieces_follow_each_other() {
        check(&[], &["c", "b", "a"], false);
        check(&[("order", "asc")], &["a", "b", "c"], false);
        check(&[("limit", "2")], &["c", "b"], true);
        check(&[("limit", "2"), ("after", "b")], &["a"], false);
        check(
            &[("order", "asc"), ("after", "a"), ("limit", "1")],
            &["b"],
            true,
        );
        check(&[("after", "x")], &[], false);
        check(&[("before", "a")], &["c", "b"], false);
        check(&[("before", "a"), ("limit", "1")], &["b"], true);
        check(&[("before", "b"), ("limit", "1")], &["c"], false);
        check(&[("before", "c")], &[], false);
        check(&[("before", "x")], &[], false);
        check(&[("order", "asc"), ("before", "c")], &["a", "b"], false);
        check(&[("after", "c"), ("before", "a")], &["b"], false);
        check(&[("after", "a"), ("before", "c")], &[], false);
    }

    #[test]
    fn nothing_follows_what_is_not_there() {
        let check = |query: &[(&str, &str)]| {
            let page = Page::parse(query.iter().copied()).unwrap();
            let checked = page.check_named(&["a", "b"], |entry| entry);
            checked.map_err(|error| (error.status, error.param.unwrap_or_default()))
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("after", "b")]), Ok(()));
        assert_eq!(check(&[("before", "b")]), Ok(()));
        assert_eq!(check(&[("after", "x")]), Err((400, "after".to_owned())));
        assert_eq!(check(&[("before", "x")]), Err((400, "before".to_owned())));
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        let check = |key: &str, value: &str| {
            let error = Page::parse([(key, value)]).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(key)));
        };
        check("limit", "0");
        check("limit", "101");
        check("limit", "x");
        check("order", "up");
        assert!(Page::parse([("limit", "100"), ("include", "x")]).is_ok());
    }
}
