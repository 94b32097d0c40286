//! Reads and cuts one document the way it would be brought in, and writes nothing.

use gaia_rag::{Document, assemble, segment};

use crate::ingest::{IngestError, Options, fitting};
use crate::read::{self, ReadError};
use crate::worker::Worker;

/// Why a document was not cut.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// It is no document.
    #[error("the file is {0}")]
    Read(#[from] ReadError),
    /// The worker failed, or the text cannot be cut.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

/// What a document says: its text, of a page without its marks.
///
/// # Errors
/// It is no text, or too large.
pub fn text(name: &str, bytes: &[u8]) -> Result<String, ReadError> {
    let text = read::decode(&read::read_all(bytes)?)?;
    Ok(Document::parse(read::format(name, &text), &text).text)
}

/// The passages of a document, in order.
///
/// # Errors
/// It is no text, or the worker does not do its part.
pub fn cut(
    worker: &Worker,
    name: &str,
    bytes: &[u8],
    options: Options,
) -> Result<Vec<String>, CutError> {
    let text = read::decode(bytes)?;
    let model = worker.embedding_model().map_err(IngestError::Worker)?;
    let limits = fitting(options.limits, &model)?;
    let document = Document::parse(read::format(name, &text), &text);
    let segments = segment(&document, &limits);
    let texts: Vec<&str> = segments
        .iter()
        .map(|segment| segment.text.as_str())
        .collect();
    let counts = worker.count_tokens(&model, &texts);
    let counts = counts.map_err(IngestError::Worker)?;
    let chunks = assemble(&document.text, &segments, &counts, &limits);
    let failed = |source| IngestError::Cut {
        name: name.to_owned(),
        source,
    };
    let chunks = chunks.map_err(failed)?.into_iter();
    Ok(chunks.map(|chunk| chunk.text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_its_text() {
        let check = |name: &str, bytes: &[u8], expected: Option<&str>| {
            let got = text(name, bytes).ok();
            assert_eq!(got.as_deref().map(str::trim), expected, "{name}");
        };
        check("a.md", b"# A\n\nb\n", Some("# A\n\nb"));
        check("a.txt", b"\xff\xfea\0", Some("a"));
        check(
            "a.html",
            b"<script>x</script><p>a <b>b</b></p>",
            Some("a b"),
        );
        check("a.md", b"a\0b", None);
    }
}
