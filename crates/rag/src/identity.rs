//! Names that are the same each time: a chunk's point id and a document's hash.
//!
//! A point's id depends on the document's name and the chunk's place in it, so ingesting a document again replaces
//! its points instead of doubling them.

use sha2::{Digest, Sha256};

/// The id of a chunk's point: a UUID (version 8, custom) from the document's name and the chunk's index.
pub fn point_id(document: &str, chunk: u32) -> String {
    let mut hash = Sha256::new();
    hash.update((document.len() as u64).to_be_bytes());
    hash.update(document.as_bytes());
    hash.update(chunk.to_be_bytes());
    let digest = hash.finalize();
    let mut id = [0_u8; 16];
    for (to, from) in id.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    id[6] = (id[6] & 0x0f) | 0x80;
    id[8] = (id[8] & 0x3f) | 0x80;
    let hex = hex(&id);
    [0..8, 8..12, 12..16, 16..20, 20..32]
        .map(|part| hex.get(part).unwrap_or_default())
        .join("-")
}

/// The hash that says whether a document must be ingested again: SHA-256 over the recipe (embedding model, chunk
/// limits, whatever else shapes the points) and the document's bytes, as 64 hexadecimal digits.
pub fn document_hash(recipe: &str, bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update((recipe.len() as u64).to_be_bytes());
    hash.update(recipe.as_bytes());
    hash.update(bytes);
    hex(&hash.finalize())
}

/// What begins the digest of a knowledge base: another way to make it is another number.
const KNOWLEDGE_VERSION: &str = "gaia knowledge 1\n";

/// The digest of a knowledge base: the same for the same documents (names and [`document_hash`]es) and the same
/// passages that belong to none, in whatever order they come. `None` for one in which nothing is.
///
/// Lengths stand before texts, so that nothing moves from one into the next.
pub fn knowledge_digest<'a>(
    documents: impl IntoIterator<Item = (&'a str, &'a str)>,
    passages: impl IntoIterator<Item = &'a str>,
) -> Option<[u8; 32]> {
    let mut documents: Vec<_> = documents.into_iter().collect();
    let mut passages: Vec<_> = passages.into_iter().collect();
    if documents.is_empty() && passages.is_empty() {
        return None;
    }
    documents.sort_unstable();
    passages.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(KNOWLEDGE_VERSION);
    hash.update((documents.len() as u64).to_be_bytes());
    let texts = documents.into_iter().flat_map(|(name, hash)| [name, hash]);
    for text in texts.chain(passages) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    Some(hash.finalize().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_distinct() {
        let id = point_id("a.md", 0);
        assert_eq!(id, point_id("a.md", 0));
        assert_ne!(id, point_id("a.md", 1));
        assert_ne!(id, point_id("b.md", 0));
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'8');
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }

    #[test]
    fn a_digest_is_of_what_is_in_a_knowledge_base() {
        let digest = |documents: &[(&'static str, &'static str)], passages: &[&'static str]| {
            knowledge_digest(documents.iter().copied(), passages.iter().copied())
        };
        assert_eq!(digest(&[], &[]), None);
        let both = digest(&[("a.md", "1"), ("b.md", "2")], &["x", "y"]);
        assert!(both.is_some());
        assert_eq!(digest(&[("b.md", "2"), ("a.md", "1")], &["y", "x"]), both);
        for other in [
            digest(&[("a.md", "1")], &["x", "y"]),
            digest(&[("a.md", "2"), ("b.md", "1")], &["x", "y"]),
            digest(&[("a.md", "1"), ("b.md", "2")], &["x"]),
            digest(&[("a.md", "1"), ("b.md", "2")], &["x", "y", "y"]),
            digest(&[("a.md", "1"), ("b.md", "2"), ("x", "y")], &[]),
            digest(&[("a.md1", ""), ("b.md", "2")], &["x", "y"]),
        ] {
            assert_ne!(other, both);
        }
    }

    #[test]
    fn the_digest_of_knowledge_does_not_change() {
        // Domains name knowledge bases by it.
        let digest = knowledge_digest([("handbook.md", "00")], ["passage"]).unwrap();
        assert_eq!(
            hex(&digest),
            "a956faac22ac4fd04b2e70b431ef6893c801220d40621e783d669868e5144da6"
        );
    }

    #[test]
    fn the_id_format_does_not_change() {
        // A change here would double every knowledge base at its next ingest.
        assert_eq!(
            point_id("handbook/install.md", 3),
            "81552b6a-be61-8788-849d-aeaf3854dc27"
        );
    }

    #[test]
    fn the_hash_knows_the_recipe() {
        assert_eq!(document_hash("r", b"text").len(), 64);
        assert_ne!(document_hash("r", b"text"), document_hash("s", b"text"));
        assert_ne!(document_hash("r", b"text"), document_hash("r", b"texu"));
        assert_ne!(document_hash("ra", b"b"), document_hash("r", b"ab"));
    }
}
