//! Sets of characters.
//!
//! Invariant: ranges are sorted, do not touch and do not overlap, so that equal sets are equal values.

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Class {
    ranges: Vec<(char, char)>,
}

impl Class {
    /// The characters in these ranges, ends included. A range that ends before it begins is empty.
    pub fn ranges(ranges: impl IntoIterator<Item = (char, char)>) -> Self {
        let mut sorted: Vec<(char, char)> = ranges
            .into_iter()
            .filter(|(low, high)| low <= high)
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<(char, char)> = Vec::with_capacity(sorted.len());
        for (low, high) in sorted {
            match merged.last_mut() {
                Some(last) if after(last.1).is_none_or(|next| low <= next) => {
                    last.1 = last.1.max(high);
                }
                _ => merged.push((low, high)),
            }
        }
        Self { ranges: merged }
    }

    /// Exactly these characters.
    pub fn of(characters: &str) -> Self {
        Self::ranges(characters.chars().map(|c| (c, c)))
    }

    /// Every character.
    pub fn any() -> Self {
        Self::ranges([('\0', char::MAX)])
    }

    /// Every character that is not in this set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut from = Some('\0');
        for (low, high) in &self.ranges {
            if let (Some(from), Some(to)) = (from, before(*low)) {
                ranges.push((from, to));
            }
            from = after(*high);
        }
        ranges.extend(from.map(|from| (from, char::MAX)));
        Self::ranges(ranges)
    }

    /// The characters in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// The characters in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.complement().union(&other.complement()).complement()
    }

    /// The characters of this set that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// Whether `c` is in the set.
    pub fn contains(&self, c: char) -> bool {
        let place = self.ranges.partition_point(|(_, high)| *high < c);
        self.ranges.get(place).is_some_and(|(low, _)| *low <= c)
    }

    /// Whether no character is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (char, char)> + '_ {
        self.ranges.iter().copied()
    }

    /// The first character: none takes fewer bytes.
    pub fn first(&self) -> Option<char> {
        self.ranges.first().map(|(low, _)| *low)
    }
}

/// The next character; the gap of surrogates is no gap.
fn after(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        c => char::from_u32(u32::from(c) + 1),
    }
}

fn before(c: char) -> Option<char> {
    match c {
        '\u{e000}' => Some('\u{d7ff}'),
        c => u32::from(c).checked_sub(1).and_then(char::from_u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged() {
        let class = Class::ranges([('c', 'd'), ('a', 'b'), ('x', 'z'), ('y', 'y'), ('9', '0')]);
        assert_eq!(class.iter().collect::<Vec<_>>(), [('a', 'd'), ('x', 'z')]);
        let around = Class::ranges([('\0', '\u{d7ff}'), ('\u{e000}', char::MAX)]);
        assert_eq!(around, Class::any());
        assert_eq!(Class::any().iter().count(), 1);
    }

    #[test]
    fn sets_are_computed() {
        let letters = Class::ranges([('a', 'z')]);
        let some = Class::of("xyzé");
        assert_eq!(letters.complement().complement(), letters);
        assert_eq!(letters.intersection(&some), Class::of("xyz"));
        assert_eq!(some.without(&letters), Class::of("é"));
        assert!(Class::any().complement().is_empty());
        assert!(Class::default().complement().contains(char::MAX));
        for c in ['a', 'm', 'z', '{', '\0'] {
            assert_eq!(letters.contains(c), c.is_ascii_lowercase());
            assert_ne!(letters.complement().contains(c), letters.contains(c));
        }
    }
}
