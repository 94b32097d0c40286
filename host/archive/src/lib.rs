//! Tar archives from strangers, with headers of bounded size.
//!
//! A tar entry may have a name of any length: it comes before the entry as one of its own, which the `tar` crate
//! reads into memory whole. So may its list of holes. Here what lies between two entries is counted while it is
//! read.
//!
//! Invariant: no more than [`HEADERS_BYTES_MAX`] bytes are read to find the next entry, whatever the archive
//! claims or contains. What an entry holds is for its reader to bound.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// Bytes of all that describes one entry: its header, a long name, extensions, and the end of the entry before.
pub const HEADERS_BYTES_MAX: u64 = 64 << 10;

/// A reader for `tar::Archive`, and what bounds it: see [`Bound::entries`].
pub fn bounded<R>(inner: R) -> (Bounded<R>, Bound) {
    let left = Rc::new(Cell::new(None));
    let bound = Bound {
        left: Rc::clone(&left),
    };
    (Bounded { inner, left }, bound)
}

/// A reader that stops where the headers of an entry are too large.
#[derive(Debug)]
pub struct Bounded<R> {
    inner: R,
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else {
            return self.inner.read(buffer);
        };
        if left == 0 {
            return Err(too_large());
        }
        let len = usize::try_from(left).unwrap_or(usize::MAX);
        let len = len.min(buffer.len());
        let count = self.inner.read(&mut buffer[..len])?;
        self.left.set(Some(left - count as u64));
        Ok(count)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Bounds what is read between entries.
#[derive(Debug)]
pub struct Bound {
    left: Rc<Cell<Option<u64>>>,
}

impl Bound {
    /// The same entries; an error in the place of one whose headers are too large.
    ///
    /// Each entry has to be read to its end before the next, or skipped by seeking
    /// (`Archive::entries_with_seek`): skipping by reading counts too.
    pub fn entries<I: Iterator>(&self, entries: I) -> Entries<'_, I> {
        Entries {
            entries,
            bound: self,
        }
    }
}

/// See [`Bound::entries`].
#[derive(Debug)]
pub struct Entries<'a, I> {
    entries: I,
    bound: &'a Bound,
}

impl<I: Iterator> Iterator for Entries<'_, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.bound.left.set(Some(HEADERS_BYTES_MAX));
        let next = self.entries.next();
        self.bound.left.set(None);
        next
    }
}

fn too_large() -> io::Error {
    let text = format!("an entry's headers are larger than {HEADERS_BYTES_MAX} bytes");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tar::{Archive, EntryType, Header};

    use super::*;

    const NAME_BYTES: u64 = 300 << 20;

    fn header(kind: EntryType, size: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_path("name").unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// Counts what is read.
    struct Counted<R>(R, Rc<Cell<u64>>);

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.set(self.1.get() + count as u64);
            Ok(count)
        }
    }

    /// An entry that tells of the next one, as large as it claims to be, and the next one.
    fn described(kind: EntryType, size: u64) -> impl Read {
        let end = size.next_multiple_of(512) - size;
        Cursor::new(header(kind, size))
            .chain(io::repeat(b'a').take(size))
            .chain(io::repeat(0).take(end))
            .chain(Cursor::new(header(EntryType::Regular, 0)))
            .chain(io::repeat(0).take(1024))
    }

    #[test]
    fn a_name_of_300_mb_is_refused_before_it_is_read() {
        for kind in [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
        ] {
            let read = Rc::new(Cell::new(0));
            let (reader, bound) = bounded(Counted(described(kind, NAME_BYTES), Rc::clone(&read)));
            let mut archive = Archive::new(reader);
            let mut entries = bound.entries(archive.entries().unwrap());
            let error = entries.next().unwrap().map(|_| ()).unwrap_err();
            assert!(error.to_string().contains("65536 bytes"), "{error}");
            assert_eq!(read.get(), HEADERS_BYTES_MAX, "{kind:?}");
        }
    }

    #[test]
    fn a_long_name_and_a_large_entry_pass() {
        let size = 1 << 20;
        let content = Cursor::new(header(EntryType::Regular, size))
            .chain(io::repeat(b'x').take(size))
            .chain(described(EntryType::GNULongName, 60_000));
        let (reader, bound) = bounded(content);
        let mut archive = Archive::new(reader);
        let mut found = Vec::new();
        for entry in bound.entries(archive.entries().unwrap()) {
            let mut entry = entry.unwrap();
            let content = io::copy(&mut entry, &mut io::sink()).unwrap();
            found.push((entry.path_bytes().len(), content));
        }
        assert_eq!(found, [(4, size), (60_000, 0)]);
    }
}
