//! Compares ways to cut documents by how well the right passages are found.
//!
//! usage: compare WORKER_URL WORKER_KEY FOLDER QUESTIONS
//!
//! Cuts and embeds the folder's Markdown anew for each size of chunk, with and without the heading path, through a
//! running worker, and searches exactly, in memory: the store's index plays no part. Prints a Markdown table.

use std::error::Error;
use std::path::Path;

use gaia_ingest::{EmbeddingModel, Endpoint, Worker, find, read_questions};
use gaia_rag::evaluation::{Question, Score};
use gaia_rag::memory::MemoryStore;
use gaia_rag::{ChunkLimits, Citation, Document, Format, Payload, assemble, point_id, segment};

/// How deep the right passage is looked for.
const DEPTH: usize = 20;

struct Comparison {
    worker: Worker,
    model: EmbeddingModel,
    documents: Vec<(String, Document)>,
    questions: Vec<(Question, Vec<f32>)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, folder, questions] = arguments.as_slice() else {
        return Err("usage: compare WORKER_URL WORKER_KEY FOLDER QUESTIONS".into());
    };
    let key = Some(key.clone()).filter(|key| !key.is_empty());
    let worker = Worker::new(Endpoint {
        name: "worker",
        url: url.clone(),
        key,
    });
    let comparison = Comparison::prepare(
        worker,
        Path::new(folder),
        &std::fs::read_to_string(questions)?,
    )?;
    println!(
        "| tokens_max | tokens_min | heading path | chunks | mean tokens | hit@1 | hit@3 | hit@5 | MRR |"
    );
    println!("|---:|---:|---|---:|---:|---:|---:|---:|---:|");
    for tokens in [64, 96, 128, 200] {
        for tokens_min in [1, 32] {
            for heading_path in [false, true] {
                let limits = ChunkLimits {
                    tokens_max: tokens,
                    tokens_target: tokens,
                    tokens_min,
                    tokens_overlap: 0,
                };
                println!("{}", comparison.row(limits, heading_path)?);
            }
        }
    }
    Ok(())
}

impl Comparison {
    fn prepare(worker: Worker, folder: &Path, questions: &str) -> Result<Self, Box<dyn Error>> {
        let model = worker.embedding_model()?;
        let mut documents = Vec::new();
        for source in find(folder, None)?.documents {
            let Some(path) = source.path else { continue };
            let format = Format::from_name(&source.name).unwrap_or(Format::Text);
            documents.push((
                source.name,
                Document::parse(format, &std::fs::read_to_string(path)?),
            ));
        }
        let questions = read_questions(questions)?;
        let texts: Vec<&str> = questions
            .iter()
            .map(|question| question.question.as_str())
            .collect();
        let vectors = worker.embed(&model, &texts)?;
        let questions = questions.into_iter().zip(vectors).collect();
        Ok(Self {
            worker,
            model,
            documents,
            questions,
        })
    }

    fn row(&self, limits: ChunkLimits, heading_path: bool) -> Result<String, Box<dyn Error>> {
        let (store, chunks, tokens) = self.store(limits, heading_path)?;
        let rank = |(question, vector): &(Question, Vec<f32>)| {
            let citations: Vec<Citation> = store
                .query(vector, DEPTH)
                .into_iter()
                .map(Citation::from)
                .collect();
            question.rank(&citations)
        };
        let score = Score::from_ranks(&self.questions.iter().map(rank).collect::<Vec<_>>());
        let ChunkLimits {
            tokens_max,
            tokens_min,
            ..
        } = limits;
        let prefix = if heading_path { "yes" } else { "no" };
        let mean = tokens / chunks.max(1);
        Ok(format!(
            "| {tokens_max} | {tokens_min} | {prefix} | {chunks} | {mean} | {:.3} | {:.3} | {:.3} | {:.3} |",
            score.hit_1, score.hit_3, score.hit_5, score.mrr
        ))
    }

    /// All chunks in a store, their number and their tokens.
    fn store(
        &self,
        limits: ChunkLimits,
        heading_path: bool,
    ) -> Result<(MemoryStore, usize, usize), Box<dyn Error>> {
        let mut chunks = Vec::new();
        for (name, document) in &self.documents {
            let segments = segment(document, &limits);
            let texts: Vec<&str> = segments
                .iter()
                .map(|segment| segment.text.as_str())
                .collect();
            let counts = self.worker.count_tokens(&self.model, &texts)?;
            chunks.extend(
                assemble(&document.text, &segments, &counts, &limits)?
                    .into_iter()
                    .map(|chunk| (name, chunk)),
            );
        }
        let texts: Vec<String> = chunks
            .iter()
            .map(|(_, chunk)| {
                if heading_path {
                    chunk.embedded_text()
                } else {
                    chunk.text.clone()
                }
            })
            .collect();
        let vectors = self.worker.embed(
            &self.model,
            &texts.iter().map(String::as_str).collect::<Vec<_>>(),
        )?;
        let tokens = chunks.iter().map(|(_, chunk)| chunk.tokens).sum();
        let mut store = MemoryStore::default();
        let number = chunks.len();
        for ((name, chunk), vector) in chunks.into_iter().zip(vectors) {
            let (document, source, heading) = (name.clone(), chunk.text, chunk.heading);
            let payload = Payload {
                source,
                document,
                chunk: chunk.index,
                heading,
                ..Payload::default()
            };
            store.upsert(point_id(name, chunk.index), vector, payload);
        }
        Ok((store, number, tokens))
    }
}
