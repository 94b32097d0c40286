//! Says what the models will take of the memory, as the engine plans it before it loads them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use gaia_gguf::{
    DraftMemory, Facts, Header, KvType, MemoryPlan, MemoryWishes, default_context, in_units,
};

use super::Finding;
use super::models::Files;
use crate::config::{Config, KvType as ConfigKvType};

/// Texts that a model computes at once that writes none, and the shortest room for them, in tokens.
const EMBEDDING_REQUESTS: u64 = 64;
const EMBEDDING_CELLS_MIN: u64 = 512;

/// One finding for each model whose file is here. `available`: the bytes that programs can still have,
/// unless the models are in memory already.
pub fn examine(config: &Config, files: &Files, available: Option<u64>) -> Vec<Finding> {
    let mut left = available;
    let mut findings = Vec::new();
    let facts_of = |file: &Option<PathBuf>| file.as_deref().and_then(facts);
    let chat = facts_of(&files.chat).map(|facts| {
        let mut wishes = chat_wishes(config, left);
        let context = wishes.context_size.unwrap_or(default_context(&facts));
        wishes.draft =
            facts_of(&files.draft).map(|draft| DraftMemory::of(&draft, context, wishes.requests));
        ("memory (chat)", facts, wishes)
    });
    if let Some((check, facts, wishes)) = chat {
        let planned = MemoryPlan::of(&facts, &wishes);
        let host = planned.as_ref().map_or(0, MemoryPlan::host_bytes);
        left = left.map(|left| left.saturating_sub(host));
        findings.push(finding(check, planned));
    }
    let readers = [
        ("memory (emb.)", &files.embedding),
        ("memory (rank)", &files.reranking),
    ];
    for (check, file) in readers {
        let Some(facts) = facts_of(file) else {
            continue;
        };
        let planned = MemoryPlan::of(&facts, &embedding_wishes(&facts, left));
        let host = planned.as_ref().map_or(0, MemoryPlan::host_bytes);
        left = left.map(|left| left.saturating_sub(host));
        findings.push(finding(check, planned));
    }
    findings
}

/// What cannot be read is for the engine to refuse.
fn facts(path: &Path) -> Option<Facts> {
    let mut file = BufReader::new(File::open(path).ok()?);
    Some(Header::read(&mut file).ok()?.facts())
}

fn chat_wishes(config: &Config, available: Option<u64>) -> MemoryWishes {
    let defaults = Config::default();
    MemoryWishes {
        context_size: Some(config.ctx_size.into()).filter(|size| *size > 0),
        requests: config.requests_running_max.into(),
        cells: None,
        kv_type: match config.kv_type {
            ConfigKvType::F16 => KvType::F16,
            ConfigKvType::Q8_0 => KvType::Q8_0,
        },
        prompt_cache_bytes: (config.prompt_cache_mib != defaults.prompt_cache_mib)
            .then_some(u64::from(config.prompt_cache_mib) << 20),
        available_bytes: available,
        gpu: None,
        draft: None,
    }
}

fn embedding_wishes(facts: &Facts, available: Option<u64>) -> MemoryWishes {
    let context = default_context(facts);
    MemoryWishes {
        context_size: Some(context),
        requests: EMBEDDING_REQUESTS,
        cells: Some(in_units(context.max(EMBEDDING_CELLS_MIN))),
        prompt_cache_bytes: Some(0),
        available_bytes: available,
        ..MemoryWishes::default()
    }
}

fn finding(check: &'static str, planned: Result<MemoryPlan, Box<MemoryPlan>>) -> Finding {
    match planned {
        Ok(plan) => {
            let mebibytes = plan.host_bytes().div_ceil(1 << 20);
            Finding::ok(check, format!("about {mebibytes} MiB: {plan}"))
        }
        Err(plan) => Finding::warn(
            check,
            format!("does not fit unless a GPU takes some of it: {plan}"),
            "end other programs; lower ctx_size, requests_running_max or prompt_cache_mib; \
             `gaia config set kv_type q8_0`; no draft_model; or a smaller model",
        ),
    }
}

#[cfg(test)]
mod tests {
    use gaia_gguf::Writer;

    use super::super::Verdict;
    use super::*;

    /// A header that takes 64 KiB of cache a token, and no weights.
    fn model(folder: &Path) -> PathBuf {
        let path = folder.join("model.gguf");
        let mut writer = Writer::new();
        writer.set("general.architecture", "llama").unwrap();
        let numbers = [
            ("block_count", 16u32),
            ("context_length", 2048),
            ("embedding_length", 1024),
            ("attention.head_count", 8),
        ];
        for (key, number) in numbers {
            writer.set(&format!("llama.{key}"), number).unwrap();
        }
        let mut file = File::create(&path).unwrap();
        writer.write(&mut file).unwrap();
        path
    }

    #[test]
    fn the_plan_is_shown_and_what_does_not_fit_says_what_to_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path());
        let of = |chat: Option<&Path>, draft: Option<&Path>| Files {
            chat: chat.map(Path::to_owned),
            draft: draft.map(Path::to_owned),
            ..Files::default()
        };
        let check = |config: &Config, available: Option<u64>, verdict, part: &str| {
            let findings = examine(
                config,
                &of(Some(&path), None),
                available.map(|mib| mib << 20),
            );
            assert_eq!(findings[0].verdict, verdict, "{}", findings[0].found);
            assert!(findings[0].found.contains(part), "{}", findings[0].found);
        };
        let config = Config::default();
        check(&config, None, Verdict::Ok, "KV 1024 MiB (16384 cells, f16)");
        check(&config, Some(8000), Verdict::Ok, "of 8000 MiB free");
        let sum = "about 1664 MiB: weights 0 MiB, KV 1024 MiB";
        check(&config, Some(8000), Verdict::Ok, sum);
        check(
            &config,
            Some(300),
            Verdict::Ok,
            "KV 128 MiB (2048 cells, f16)",
        );
        check(&config, Some(200), Verdict::Warn, "does not fit");
        let small = Config {
            kv_type: ConfigKvType::Q8_0,
            ..config
        };
        check(
            &small,
            Some(200),
            Verdict::Ok,
            "KV 68 MiB (2048 cells, q8_0)",
        );
        assert!(examine(&small, &of(Some(folder.path()), None), None).is_empty());
        let readers = Files {
            embedding: Some(path.clone()),
            reranking: Some(path.clone()),
            ..Files::default()
        };
        let checks: Vec<_> = examine(&small, &readers, Some(800 << 20))
            .into_iter()
            .map(|finding| (finding.check, finding.found))
            .collect();
        assert_eq!(checks.len(), 2, "{checks:?}");
        assert!(
            checks[0].0 == "memory (emb.)"
                && checks[0]
                    .1
                    .ends_with("of 800 MiB free; 64 at a time, 2048 tokens each at most"),
            "{checks:?}"
        );
        // What the first takes is not there for the second.
        assert!(
            checks[1].0 == "memory (rank)" && checks[1].1.contains("of 544 MiB free"),
            "{checks:?}"
        );
        let with_draft = examine(&small, &of(Some(&path), Some(&path)), None);
        let part = "draft model: weights 0 MiB, KV 512 MiB (8192 cells)";
        assert!(
            with_draft[0].found.contains(part),
            "{}",
            with_draft[0].found
        );
    }
}
