//! What a model says about itself, and by that which engine is behind it.

use gaia_openai::completion::Infill;
use serde::Deserialize;

/// Which plugin provides the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Ours: many requests at a time, tokens and log-probabilities.
    Gaia,
    /// WasmEdge's own GGML plugin: one request at a time.
    Stock,
}

impl Engine {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gaia => "gaia",
            Self::Stock => "stock",
        }
    }
}

impl From<Engine> for gaia_chat::Engine {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Gaia => Self::Gaia,
            Engine::Stock => Self::Stock,
        }
    }
}

/// Context of a request on the stock plugin where nobody says otherwise.
pub(crate) const STOCK_CONTEXT: u32 = 4096;

/// Facts of a model; on the stock plugin nearly all of them are unknown.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Facts {
    #[serde(rename = "gaia-engine", default)]
    version: u32,
    pub(crate) architecture: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) n_ctx: u32,
    #[serde(default = "one")]
    pub(crate) n_seq_max: u32,
    #[serde(default)]
    pub(crate) n_embd: u32,
    #[serde(default)]
    pub(crate) n_vocab: u32,
    pub(crate) chat_template: Option<String>,
    pub(crate) bos_token: Option<String>,
    pub(crate) eos_token: Option<String>,
    pub(crate) bos_id: Option<i32>,
    #[serde(default)]
    pub(crate) add_bos: bool,
    #[serde(default)]
    infill: Option<[u32; 3]>,
    #[serde(default)]
    pub(crate) embedding: bool,
    /// Whether it sees images.
    #[serde(default)]
    pub(crate) vision: bool,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) params: Option<u64>,
}

fn one() -> u32 {
    1
}

impl Facts {
    /// Reads output 2. The stock plugin has no such output and answers with text, or not at all.
    pub(crate) fn read(output: Option<&[u8]>, ctx_size: Option<u32>) -> (Engine, Self) {
        let facts = output.and_then(|bytes| serde_json::from_slice::<Self>(bytes).ok());
        match facts {
            Some(facts) if facts.version >= 1 => (Engine::Gaia, facts),
            _ => (
                Engine::Stock,
                Self::stock(ctx_size.unwrap_or(STOCK_CONTEXT)),
            ),
        }
    }

    /// The token that starts a text, where one does.
    pub(crate) fn start(&self) -> Option<u32> {
        let bos = self.bos_id.filter(|_| self.add_bos)?;
        u32::try_from(bos).ok()
    }

    /// How it is asked to fill a gap, where it knows how.
    pub(crate) fn infill(&self) -> Option<Infill> {
        self.infill.map(Infill::from)
    }

    fn stock(n_ctx: u32) -> Self {
        Self {
            version: 0,
            architecture: None,
            name: None,
            n_ctx,
            n_seq_max: 1,
            n_embd: 0,
            n_vocab: 0,
            chat_template: None,
            bos_token: None,
            eos_token: None,
            bos_id: None,
            add_bos: false,
            infill: None,
            embedding: false,
            vision: false,
            size_bytes: None,
            params: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: Option<&str>, engine: Engine, n_ctx: u32) {
        let (found, facts) = Facts::read(output.map(str::as_bytes), None);
        assert_eq!((found, facts.n_ctx), (engine, n_ctx), "{output:?}");
    }

    #[test]
    fn who_has_all_three_tokens_can_fill_a_gap() {
        let of = |fields: &str| {
            let output = format!(r#"{{"gaia-engine":1{fields}}}"#);
            let (_, facts) = Facts::read(Some(output.as_bytes()), None);
            facts
                .infill()
                .map(|infill| infill.prompt(facts.start(), &[1, 2], &[3]))
        };
        assert_eq!(of(""), None);
        assert_eq!(of(r#","infill":null"#), None);
        let tokens = r#","infill":[7,8,9],"bos_id":5"#;
        assert_eq!(of(tokens), Some(vec![7, 1, 2, 8, 3, 9]));
        let begun = format!(r#"{tokens},"add_bos":true"#);
        assert_eq!(of(&begun), Some(vec![5, 7, 1, 2, 8, 3, 9]));
    }

    #[test]
    fn the_engine_shows_by_its_facts() {
        check(None, Engine::Stock, STOCK_CONTEXT);
        check(Some(""), Engine::Stock, STOCK_CONTEXT);
        check(Some("some text"), Engine::Stock, STOCK_CONTEXT);
        check(Some(r#"{"input_tokens":0}"#), Engine::Stock, STOCK_CONTEXT);
        check(
            Some(r#"{"gaia-engine":1,"n_ctx":2048,"new":[]}"#),
            Engine::Gaia,
            2048,
        );
    }
}
