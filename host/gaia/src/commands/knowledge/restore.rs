//! `gaia knowledge restore`: knowledge from the snapshot of a Qdrant collection, GaiaNet's for one.
//!
//! Invariant: whatever fails, the knowledge that was there stays whole. All that can be refused is
//! refused before the store is asked; the store builds the new collection beside the old one and
//! switches in one step.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use gaia_ingest::{EmbeddingModel, HttpError};
use gaia_manifest::Kind;
use gaia_models::free_bytes;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::snapshot::{Limits, Snapshot, Vectors, open};
use super::workshop::{Unusable, Workshop};
use super::{Context, Node};
use crate::config::{COLLECTION_NAME_RULE, is_collection_name};
use crate::exit::{Exit, failure};
use crate::supervisor::models::Shelf;
use crate::terminal::{Tint, bytes};

const BAR: &str = "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
/// How the node compares vectors, and the only way it can.
const DISTANCE: &str = "Cosine";
/// Points looked at for a text that shows whether the node's model made their vectors.
const SAMPLE_POINTS: usize = 64;
/// The longest text embedded for that, in characters; a model that reads less refuses it.
const SAMPLE_CHARS_MAX: usize = 1_500;
/// Cosine between a stored vector and the same text embedded here, below which another model made
/// it: the same model in another precision gives above 0.9, another one about 0.
const SAME_MODEL_COSINE_MIN: f32 = 0.6;

/// Arguments of `gaia knowledge restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia knowledge restore https://example.org/knowledge.snapshot.tar.gz
  gaia knowledge restore default.snapshot --collection old
  gaia knowledge restore default.snapshot --replace     instead of what is there

The snapshot is one of a Qdrant collection whose points carry their text in the field
`source`, as GaiaNet's do; plain, in a tar archive, compressed with gzip, or both.
Its vectors must have been made by the node's embedding model.")]
pub struct Arguments {
    /// A file, or the URL of one; a broken download goes on where it stopped
    #[arg(value_name = "FILE|URL")]
    from: String,
    /// Restore into this collection instead of the one the node answers from
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Replace what is in the collection
    #[arg(long)]
    replace: bool,
}

/// What came of it.
struct Restored {
    points: u64,
    /// Points without a text, which are never found.
    empty: u64,
    /// Points without a document's name.
    unnamed: u64,
    /// Whether the node's model made the vectors, as far as a sample shows; none if it does not.
    is_same_model: Option<bool>,
}

/// Runs `gaia knowledge restore`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(name) = &arguments.collection
        && !is_collection_name(name)
    {
        let text = format!("--collection {name}: {COLLECTION_NAME_RULE}");
        return Err(failure(Exit::Usage, text));
    }
    let node = Node::with_collection(context, arguments.collection.as_deref())?;
    refuse_to_overwrite(&node, arguments.replace)?;
    let model = node.worker.embedding_model()?;
    let workshop = Workshop::open(context)?;
    let kept = || {
        let (from, collection) = (&arguments.from, node.store.collection());
        format!("`{from}` is not restored, and `{collection}` is as it was")
    };
    let file = workshop.file(context, &arguments.from).with_context(kept)?;
    let sent = prepare(context, &node, &model, &workshop, &file)
        .with_context(kept)
        .and_then(|snapshot| send(context, &node, &snapshot, kept));
    workshop.clear(&arguments.from, &sent)?;
    sent?;
    let restored = look(&node, &model)
        .with_context(|| format!("`{}` is restored, but not looked over", arguments.from))?;
    show(context, &node, &model, &arguments.from, &restored)
}

/// Before anything is fetched.
fn refuse_to_overwrite(node: &Node, replace: bool) -> anyhow::Result<()> {
    match node.store.count()? {
        Some(points) if points > 0 && !replace => Err(failure(
            Exit::Failure,
            format!(
                "`{}` holds {points} passages already: --replace puts the snapshot in their place, \
                 --collection NAME keeps them",
                node.store.collection()
            ),
        )),
        _ => Ok(()),
    }
}

/// Everything that may be refused without the store.
fn prepare(
    context: &Context,
    node: &Node,
    model: &EmbeddingModel,
    workshop: &Workshop,
    file: &Path,
) -> anyhow::Result<Snapshot> {
    let bar = bar(context, "unpack", file);
    let snapshot = open(file, workshop.folder(), &Limits::default(), &bar);
    bar.finish_and_clear();
    let snapshot = snapshot?;
    check_vectors(context, node, model, &snapshot.vectors)?;
    check_space(context, &snapshot)?;
    Ok(snapshot)
}

/// The node's own store keeps the archive while it unpacks it beside it.
fn check_space(context: &Context, snapshot: &Snapshot) -> anyhow::Result<()> {
    if !context.config()?.store_url.is_empty() {
        return Ok(());
    }
    let needed = fs::metadata(&snapshot.file)?
        .len()
        .saturating_mul(2)
        .saturating_add(Limits::default().reserve_bytes);
    let folder = context.home.root();
    let free = free_bytes(folder)?;
    if needed > free {
        let (needed, free) = (bytes(needed), bytes(free));
        let folder = folder.display();
        anyhow::bail!("not enough space in `{folder}`: the store needs {needed}, {free} are free");
    }
    Ok(())
}

/// Hands the snapshot to the store. Only where the store says that the request is wrong is it
/// certain that nothing has changed.
fn send(
    context: &Context,
    node: &Node,
    snapshot: &Snapshot,
    kept: impl Fn() -> String,
) -> anyhow::Result<()> {
    let file = File::open(&snapshot.file).with_context(&kept)?;
    let bar = bar(context, "restore", &snapshot.file);
    let sent = node.store.restore(&mut bar.wrap_read(file));
    bar.finish_and_clear();
    match sent {
        Ok(()) => Ok(()),
        Err(HttpError::Refused {
            status: status @ 400..=499,
            message,
            ..
        }) => Err(refusal(status, &message)).with_context(kept),
        Err(error) => Err(error).context(
            "the store did not get to say that it is done; it has the old knowledge or the new, \
             whole: `gaia knowledge list` tells which",
        ),
    }
}

/// What the store says of the request. Where it was asked is of no interest.
fn refusal(status: u16, message: &str) -> anyhow::Error {
    let message = message.trim_start_matches("Wrong input: ").to_owned();
    match status {
        // What is in the snapshot, and neither its size, the key nor the address.
        400 | 422 => Unusable(message).into(),
        _ => anyhow::anyhow!(message),
    }
}

/// What the store has now.
fn look(node: &Node, model: &EmbeddingModel) -> anyhow::Result<Restored> {
    // For documents added later; a snapshot may come without.
    node.store.index()?;
    Ok(Restored {
        points: node.store.count()?.unwrap_or_default(),
        empty: node.store.count_without("source")?,
        unnamed: node.store.count_without("document")?,
        is_same_model: is_same_model(node, model),
    })
}

fn bar(context: &Context, name: &'static str, file: &Path) -> ProgressBar {
    if context.terminal.json {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(fs::metadata(file).map_or(0, |it| it.len())).with_prefix(name);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Vectors of another size or kind would make every question fail.
fn check_vectors(
    context: &Context,
    node: &Node,
    model: &EmbeddingModel,
    vectors: &Vectors,
) -> anyhow::Result<()> {
    let own = node.worker.embed(model, &["size"])?;
    let own = own.first().map_or(0, Vec::len);
    if vectors.size == own && vectors.distance == DISTANCE {
        return Ok(());
    }
    let shelf = Shelf::open(&context.home, &context.environment);
    let fitting = shelf.catalogue.manifests.iter().filter(|manifest| {
        manifest.kind == Kind::Embedding && manifest.dimensions == Some(vectors.size as u64)
    });
    let fitting: Vec<&str> = fitting.map(|manifest| manifest.name.as_str()).collect();
    let text = mismatch(vectors, own, &model.id, &fitting);
    match vectors.size == own {
        true => Err(Unusable(text).into()),
        // Another embedding model can use them.
        false => Err(failure(Exit::Failure, text)),
    }
}

fn mismatch(vectors: &Vectors, own: usize, model: &str, fitting: &[&str]) -> String {
    let Vectors { size, distance } = vectors;
    if *size == own {
        return format!(
            "its vectors are compared by {distance}, and a node compares by {DISTANCE} only: \
             add the documents themselves with `gaia knowledge add`"
        );
    }
    let numbers = format!(
        "its vectors have {size} numbers, those of the node's embedding model {model} have {own}"
    );
    match fitting {
        [] => format!(
            "{numbers}; no model known here makes {size}, so name the file or URL of the one that \
             made them: `gaia config set embedding_model FILE.gguf && gaia restart`, then restore again"
        ),
        [first, ..] => format!(
            "{numbers}; {} makes {size}: `gaia config set embedding_model {first} && gaia restart`, \
             then restore again",
            fitting.join(" or ")
        ),
    }
}

/// Embeds a text anew and compares. Nothing where no text lends itself to it.
fn is_same_model(node: &Node, model: &EmbeddingModel) -> Option<bool> {
    let sample = node.store.sample(SAMPLE_POINTS).ok()?;
    let (text, stored) = shortest(&sample)?;
    let own = node.worker.embed(model, &[text]).ok()?;
    Some(cosine(stored, own.first()?) >= SAME_MODEL_COSINE_MIN)
}

/// The text that a model is the likeliest to read whole, with its vector.
fn shortest(sample: &[(String, Vec<f32>)]) -> Option<&(String, Vec<f32>)> {
    sample
        .iter()
        .filter(|(text, _)| !text.trim().is_empty() && text.chars().count() <= SAMPLE_CHARS_MAX)
        .min_by_key(|(text, _)| text.chars().count())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::MIN_POSITIVE)
}

fn show(
    context: &Context,
    node: &Node,
    model: &EmbeddingModel,
    from: &str,
    restored: &Restored,
) -> anyhow::Result<()> {
    let collection = node.store.collection();
    let answers_from = context.config()?.collection;
    let remarks = remarks(restored, collection, &answers_from, &model.id);
    context.terminal.answer(
        || {
            json!({
                "restored": from, "collection": collection, "passages": restored.points,
                "without_text": restored.empty, "without_document": restored.unnamed,
                "same_embedding_model": restored.is_same_model, "remarks": remarks,
            })
        },
        |terminal| {
            let mut text = format!("{} passages restored into `{collection}`", restored.points);
            for remark in &remarks {
                text.push_str(&format!("\n{}", terminal.out(Tint::Yellow, remark)));
            }
            text
        },
    );
    Ok(())
}

/// What a person should know or do now.
fn remarks(restored: &Restored, collection: &str, answers_from: &str, model: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    if restored.is_same_model == Some(false) {
        remarks.push(format!(
            "another model than {model} made its vectors: questions will find the wrong passages. \
             `gaia config set embedding_model` to the one that did and restart"
        ));
    }
    if restored.is_same_model.is_none() && restored.points > restored.empty {
        remarks.push(format!(
            "whether {model} made its vectors could not be checked: \
             ask `gaia knowledge search` for something you know is in there"
        ));
    }
    if restored.empty > 0 {
        let count = restored.empty;
        remarks.push(format!(
            "{count} have no text in the field `source` and are never found"
        ));
    }
    if collection != answers_from {
        remarks.push(format!(
            "the node answers from `{answers_from}`; \
             `gaia config set collection {collection} && gaia restart` changes that"
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_says_both_sizes_and_the_way_out() {
        let check = |size, distance: &str, fitting: &[&str], expected: &[&str]| {
            let distance = distance.to_owned();
            let text = mismatch(&Vectors { size, distance }, 384, "mini", fitting);
            assert_eq!(text.lines().count(), 1);
            for part in expected {
                assert!(text.contains(part), "{text}");
            }
        };
        let sizes = "have 768 numbers, those of the node's embedding model mini have 384";
        check(
            768,
            "Cosine",
            &[],
            &[sizes, "no model known here makes 768"],
        );
        let set = "`gaia config set embedding_model nomic && gaia restart`";
        check(768, "Cosine", &["nomic", "bge"], &[sizes, set]);
        check(384, "Euclid", &[], &["compared by Euclid", "Cosine only"]);
    }

    #[test]
    fn remarks_say_what_is_left_to_do() {
        let check = |restored: &Restored, collection: &str, expected: &[&str]| {
            let remarks = remarks(restored, collection, "default", "mini");
            assert_eq!(remarks.len(), expected.len(), "{remarks:?}");
            for (remark, part) in remarks.iter().zip(expected) {
                assert!(remark.contains(part), "{remark}");
            }
        };
        let fine = Restored {
            points: 3,
            empty: 0,
            unnamed: 3,
            is_same_model: Some(true),
        };
        check(&fine, "default", &[]);
        check(&fine, "old", &["gaia config set collection old"]);
        let unchecked = Restored {
            is_same_model: None,
            ..fine
        };
        check(&unchecked, "default", &["mini made its vectors could not"]);
        let foreign = Restored {
            empty: 2,
            is_same_model: Some(false),
            ..fine
        };
        let expected = ["another model than mini", "2 have no text"];
        check(&foreign, "default", &expected);
    }

    #[test]
    fn the_shortest_text_is_embedded_anew() {
        let check = |texts: &[&str], expected: Option<&str>| {
            let point = |text: &&str| ((*text).to_owned(), vec![1.0_f32]);
            let sample: Vec<(String, Vec<f32>)> = texts.iter().map(point).collect();
            let found = shortest(&sample).map(|(text, _)| text.as_str());
            assert_eq!(found, expected);
        };
        check(&[], None);
        check(&["abc", " ", "ab", "abcd"], Some("ab"));
        let long = "x".repeat(SAMPLE_CHARS_MAX);
        let longer = "x".repeat(SAMPLE_CHARS_MAX + 1);
        check(&[longer.as_str(), long.as_str()], Some(long.as_str()));
        check(&[longer.as_str()], None);
    }

    #[test]
    fn a_refusal_is_told_in_the_stores_words() {
        let check = |status: u16, is_unusable: bool| {
            let error = refusal(status, "Wrong input: no such thing");
            assert_eq!(error.to_string(), "no such thing");
            assert_eq!(error.is::<Unusable>(), is_unusable, "{status}");
        };
        check(400, true);
        check(401, false);
        check(413, false);
    }

    #[test]
    fn cosines() {
        let check = |a: &[f32], b: &[f32], expected: f32| {
            assert!((cosine(a, b) - expected).abs() < 1e-6);
        };
        check(&[1.0, 1.0], &[2.0, 2.0], 1.0);
        check(&[1.0, 0.0], &[0.0, 1.0], 0.0);
        check(&[0.0, 0.0], &[0.0, 1.0], 0.0);
    }
}
