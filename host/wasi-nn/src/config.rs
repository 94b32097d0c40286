//! What a guest's metadata JSON asks for: the stock plugin's keys and ours.
//!
//! Keys nobody knows are logged and skipped, as the stock plugin does; a known key with a value of
//! the wrong type is refused, and so is one that asks for what this plugin cannot do.

use std::path::PathBuf;
use std::time::Duration;

use gaia_engine::{Grammar, KvType, LoadOptions, Sampling, Speculation, Split, TokenId};
use serde_json::{Map, Value};

use crate::doorbell::{SECRET_LEN_MAX, SECRET_LEN_MIN, Wake};

/// Everything the metadata says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Config {
    pub load: LoadOptions,
    /// After this time without a request the model leaves the memory; `None`: never.
    pub idle_unload: Option<Duration>,
    pub wake: Wake,
    pub request: RequestOptions,
}

/// What belongs to one execution context.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RequestOptions {
    pub sampling: Sampling,
    pub grammar: Option<Grammar>,
    pub stop: Vec<String>,
    pub tokens_max: Option<u32>,
    pub ignore_eos: bool,
    pub logprobs: Option<u8>,
    pub score_prompt: bool,
    /// Whether nothing of the prompt may come from what other requests have read.
    pub read_afresh: bool,
    pub shown_tokens: Vec<String>,
    pub non_blocking: bool,
    pub stream_stdout: bool,
}

/// Why metadata was refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the metadata is not a JSON object")]
    NotAnObject,
    #[error("`{key}` must be {wanted}")]
    Type { key: String, wanted: &'static str },
    #[error("`{key}` is not supported by this plugin")]
    Unsupported { key: String },
    #[error(
        "`{key}` names a file of the host, so only the operator can say it: in `--nn-preload` or \
         `GAIA_NN_<NAME>`"
    )]
    OperatorOnly { key: String },
}

/// Who says something about loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// Whoever started the process.
    Operator,
    /// The program that runs in it.
    Guest,
}

impl Config {
    /// Takes over what `metadata` of `speaker` says and keeps the rest.
    pub fn apply(&mut self, metadata: &Value, speaker: Speaker) -> Result<(), ConfigError> {
        let object = metadata.as_object().ok_or(ConfigError::NotAnObject)?;
        for (key, value) in object {
            // As in the stock plugin, `null` is as good as nothing.
            if !value.is_null() {
                self.apply_key(&Entry { key, value }, speaker)?;
            }
        }
        self.apply_single_stop(object)
    }

    fn apply_key(&mut self, entry: &Entry<'_>, speaker: Speaker) -> Result<(), ConfigError> {
        match entry.key {
            "draft-model" => {
                self.load.draft_model = entry.host_file(speaker)?;
                return Ok(());
            }
            // Who writes for the stock plugin may say that there is none.
            "mmproj" if !entry.is_off() => {
                self.load.projector = entry.host_file(speaker)?;
                return Ok(());
            }
            _ => {}
        }
        if self.apply_load_key(entry)? || self.apply_sampling_key(entry)? {
            return Ok(());
        }
        let request = &mut self.request;
        match entry.key {
            "n-predict" => request.tokens_max = entry.count()?,
            "stop" => request.stop = entry.texts()?,
            "grammar" => request.grammar = entry.non_empty()?.map(Grammar::Gbnf),
            "json-schema" => request.grammar = entry.schema()?.or(request.grammar.take()),
            "ignore-eos" => request.ignore_eos = entry.flag()?,
            "logprobs" => {
                request.logprobs = entry
                    .small("a number from 0 to 255")?
                    .filter(|count| *count > 0);
            }
            "show-tokens" => request.shown_tokens = entry.texts()?,
            "score-prompt" => request.score_prompt = entry.flag()?,
            "cache-prompt" => request.read_afresh = !entry.flag()?,
            "non-blocking" => request.non_blocking = entry.flag()?,
            "stream-stdout" => request.stream_stdout = entry.flag()?,
            "mmproj" => {}
            "image" | "tts" | "model-vocoder" | "tensor-split" => {
                return entry.refuse_unless_off();
            }
            // Read elsewhere, without meaning here, or kept for what comes.
            "reverse-prompt" | "enable-log" | "enable-debug-log" | "n-keep" | "warmup"
            | "ctx-shift" => {}
            key => tracing::warn!("metadata key `{key}` is unknown and skipped"),
        }
        Ok(())
    }

    fn apply_load_key(&mut self, entry: &Entry<'_>) -> Result<bool, ConfigError> {
        let load = &mut self.load;
        match entry.key {
            "ctx-size" => load.context_size = entry.count()?,
            "n-seq-max" | "n-parallel" => load.sequences_max = entry.count()?,
            "n-cells" => load.cells = entry.count()?,
            "batch-size" => load.batch_size = entry.count()?,
            "ubatch-size" => load.ubatch_size = entry.count()?,
            "host-cache-mib" => {
                load.host_cache_bytes = entry.count()?.map(|mib| u64::from(mib) << 20)
            }
            "speculation" => load.speculation = entry.speculation()?,
            "kv-type" => load.kv_type = entry.kv_type()?,
            "prompt-chunk" => load.prompt_chunk = entry.count()?,
            "threads" => load.threads = entry.count()?,
            "threads-batch" => load.threads_batch = entry.count()?,
            "n-gpu-layers" => load.gpu_layers = entry.count()?,
            "main-gpu" => load.main_gpu = Some(entry.integer()?),
            "split-mode" => load.split = Some(entry.split()?),
            "use-mmap" => load.mmap = Some(entry.flag()?),
            "use-mlock" => load.mlock = Some(entry.flag()?),
            "flash-attn" => load.flash_attention = entry.flash_attention()?,
            "embedding" => load.embedding = Some(entry.flag()?).filter(|embedding| *embedding),
            "reranking" => load.reranking = Some(entry.flag()?).filter(|reranking| *reranking),
            "idle-unload-seconds" => self.idle_unload = entry.time()?,
            "wake-port" => self.wake.port = entry.port()?,
            "wake-secret" => self.wake.secret = entry.secret()?,
            "queue-len-max" => load.queue_len_max = entry.count()?.map(|count| count as usize),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn apply_sampling_key(&mut self, entry: &Entry<'_>) -> Result<bool, ConfigError> {
        let sampling = &mut self.request.sampling;
        match entry.key {
            "temp" | "temperature" => sampling.temperature = entry.number()?,
            "top-p" => sampling.top_p = entry.number()?,
            "top-k" => sampling.top_k = entry.integer()?,
            "min-p" => sampling.min_p = entry.number()?,
            "typ-p" => sampling.typical_p = entry.number()?,
            "repeat-penalty" => sampling.repeat_penalty = entry.number()?,
            "presence-penalty" => sampling.presence_penalty = entry.number()?,
            "frequency-penalty" => sampling.frequency_penalty = entry.number()?,
            "repeat-last-n" | "penalty-last-n" => sampling.penalty_last_n = entry.integer()?,
            "seed" => sampling.seed = entry.seed()?,
            "logit-bias" => sampling.logit_bias = entry.biases()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The stock key `reverse-prompt` holds one stop string; it adds to ours.
    fn apply_single_stop(&mut self, object: &Map<String, Value>) -> Result<(), ConfigError> {
        let key = "reverse-prompt";
        let Some(value) = object.get(key).filter(|value| !value.is_null()) else {
            return Ok(());
        };
        if let Some(stop) = (Entry { key, value }).non_empty()? {
            self.request.stop.push(stop);
        }
        Ok(())
    }
}

struct Entry<'a> {
    key: &'a str,
    value: &'a Value,
}

impl Entry<'_> {
    fn error(&self, wanted: &'static str) -> ConfigError {
        let key = self.key.to_owned();
        ConfigError::Type { key, wanted }
    }

    fn flag(&self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.error("true or false"))
    }

    fn number(&self) -> Result<f32, ConfigError> {
        let number = self.value.as_f64().ok_or_else(|| self.error("a number"))?;
        Ok(number as f32)
    }

    /// A whole number, also when written as 5.0.
    fn whole(&self) -> Option<i64> {
        let rounded = |number: f64| {
            let small = number.fract() == 0.0 && number.abs() < 9e15;
            small.then_some(number as i64)
        };
        self.value
            .as_i64()
            .or_else(|| self.value.as_f64().and_then(rounded))
    }

    fn integer(&self) -> Result<i32, ConfigError> {
        self.whole()
            .and_then(|number| i32::try_from(number).ok())
            .ok_or_else(|| self.error("a whole number of 32 bits"))
    }

    /// A count; a negative one stands for the default.
    fn count(&self) -> Result<Option<u32>, ConfigError> {
        match self.whole() {
            Some(number) if number < 0 => Ok(None),
            Some(number) => u32::try_from(number)
                .map(Some)
                .map_err(|_| self.error("a whole number of 32 bits")),
            None => Err(self.error("a whole number of 32 bits")),
        }
    }

    /// Seconds; none or a negative number of them is no time.
    fn time(&self) -> Result<Option<Duration>, ConfigError> {
        let seconds = self.count()?.filter(|seconds| *seconds > 0);
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.into())))
    }

    fn port(&self) -> Result<Option<u16>, ConfigError> {
        let number = self.whole().and_then(|number| u16::try_from(number).ok());
        match number {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(self.error("a port")),
        }
    }

    fn secret(&self) -> Result<String, ConfigError> {
        let text = self.text()?;
        let long = (SECRET_LEN_MIN..=SECRET_LEN_MAX).contains(&text.len());
        match long && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(text.to_owned()),
            false => Err(self.error("16 to 64 hexadecimal digits")),
        }
    }

    fn small(&self, wanted: &'static str) -> Result<Option<u8>, ConfigError> {
        let number = self.whole().and_then(|number| u8::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.error(wanted))
    }

    /// Negative, or the largest number of 32 bits: a different one each time.
    fn seed(&self) -> Result<Option<u32>, ConfigError> {
        let number = self.whole().ok_or_else(|| self.error("a whole number"))?;
        match number < 0 || number == i64::from(u32::MAX) {
            true => Ok(None),
            // OpenAI's seeds have 64 bits; all of them count.
            false => Ok(Some((number ^ (number >> 32)) as u32)),
        }
    }

    fn text(&self) -> Result<&str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.error("a text"))
    }

    fn non_empty(&self) -> Result<Option<String>, ConfigError> {
        let text = self.text()?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// A file outside the guest's folders, which it must not reach.
    fn host_file(&self, speaker: Speaker) -> Result<Option<PathBuf>, ConfigError> {
        match speaker {
            Speaker::Operator => Ok(self.non_empty()?.map(PathBuf::from)),
            Speaker::Guest => Err(ConfigError::OperatorOnly {
                key: self.key.to_owned(),
            }),
        }
    }

    fn texts(&self) -> Result<Vec<String>, ConfigError> {
        if let Some(text) = self.value.as_str() {
            return Ok(vec![text.to_owned()]);
        }
        let wanted = "a list of texts";
        let list = self.value.as_array().ok_or_else(|| self.error(wanted))?;
        list.iter()
            .map(|text| {
                text.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| self.error(wanted))
            })
            .collect()
    }

    /// A schema as text, as the stock plugin wants it, or as JSON.
    fn schema(&self) -> Result<Option<Grammar>, ConfigError> {
        let text = match self.value {
            Value::String(text) => text.clone(),
            Value::Object(_) | Value::Bool(_) => self.value.to_string(),
            _ => return Err(self.error("a JSON schema")),
        };
        Ok((!text.is_empty()).then_some(Grammar::JsonSchema(text)))
    }

    fn biases(&self) -> Result<Vec<(TokenId, f32)>, ConfigError> {
        let wanted = "an object of token numbers and biases";
        let object = self.value.as_object().ok_or_else(|| self.error(wanted))?;
        let pair = |(token, bias): (&String, &Value)| {
            let token = token.parse().ok()?;
            Some((token, bias.as_f64()? as f32))
        };
        object
            .iter()
            .map(|entry| pair(entry).ok_or_else(|| self.error(wanted)))
            .collect()
    }

    fn split(&self) -> Result<Split, ConfigError> {
        match self.text()? {
            "none" => Ok(Split::None),
            "layer" => Ok(Split::Layer),
            "row" => Ok(Split::Row),
            _ => Err(self.error("`none`, `layer` or `row`")),
        }
    }

    fn speculation(&self) -> Result<Speculation, ConfigError> {
        match self.text()? {
            "off" => Ok(Speculation::Off),
            "auto" => Ok(Speculation::Auto),
            "always" => Ok(Speculation::Always),
            _ => Err(self.error("`off`, `auto` or `always`")),
        }
    }

    fn kv_type(&self) -> Result<KvType, ConfigError> {
        match self.text()? {
            "f16" => Ok(KvType::F16),
            "q8_0" => Ok(KvType::Q8_0),
            _ => Err(self.error("`f16` or `q8_0`")),
        }
    }

    fn flash_attention(&self) -> Result<Option<bool>, ConfigError> {
        match self.value {
            Value::Bool(flag) => Ok(Some(*flag)),
            Value::String(text) if text == "auto" => Ok(None),
            Value::String(text) if text == "on" => Ok(Some(true)),
            Value::String(text) if text == "off" => Ok(Some(false)),
            _ => Err(self.error("true, false or `auto`")),
        }
    }

    fn is_off(&self) -> bool {
        match self.value {
            Value::Bool(flag) => !flag,
            Value::String(text) => text.is_empty(),
            _ => false,
        }
    }

    fn refuse_unless_off(&self) -> Result<(), ConfigError> {
        match self.is_off() {
            true => Ok(()),
            false => Err(ConfigError::Unsupported {
                key: self.key.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(metadata: Value) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.apply(&metadata, Speaker::Guest).map(|()| config)
    }

    #[test]
    fn a_file_of_the_host_is_the_operators_to_name() {
        let metadata = json!({"draft-model": "/models/small.gguf"});
        assert!(matches!(
            read(metadata.clone()),
            Err(ConfigError::OperatorOnly { .. })
        ));
        let mut config = Config::default();
        config.apply(&metadata, Speaker::Operator).unwrap();
        let named = Some(PathBuf::from("/models/small.gguf"));
        assert_eq!(config.load.draft_model, named);
        config.apply(&json!({"temp": 0}), Speaker::Guest).unwrap();
        assert_eq!(config.load.draft_model, named);
        let none = json!({"draft-model": ""});
        config.apply(&none, Speaker::Operator).unwrap();
        assert_eq!(config.load.draft_model, None);
        let wrong = json!({"draft-model": 7});
        assert!(config.apply(&wrong, Speaker::Operator).is_err());
    }

    #[test]
    fn a_projector_is_the_operators_to_name() {
        let named = json!({"mmproj": "/models/eye.gguf"});
        assert!(matches!(
            read(named.clone()),
            Err(ConfigError::OperatorOnly { .. })
        ));
        let mut config = Config::default();
        config.apply(&named, Speaker::Operator).unwrap();
        config
            .apply(&json!({"mmproj": ""}), Speaker::Guest)
            .unwrap();
        let path = Some(PathBuf::from("/models/eye.gguf"));
        assert_eq!(config.load.projector, path);
    }

    #[test]
    fn a_bell_has_a_port_and_a_secret() {
        let config = read(json!({"wake-port": 8, "wake-secret": "0123456789abcdef"})).unwrap();
        assert_eq!(config.wake.port, Some(8));
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
        for bad in [
            json!({"wake-port": 0}),
            json!({"wake-port": 65_536}),
            json!({"wake-secret": "0123456789abcde"}),
            json!({"wake-secret": "0".repeat(65)}),
            json!({"wake-secret": "GET / HTTP/1.1\r\n\r\n"}),
        ] {
            assert!(read(bad).is_err());
        }
    }

    #[test]
    fn stock_keys_are_understood() {
        let config = read(json!({
            "enable-log": true, "ctx-size": 512, "batch-size": 64, "threads": 2,
            "n-gpu-layers": 100, "n-predict": 7, "temp": 0.5, "top-p": 0.9, "top-k": 5,
            "repeat-penalty": 1.1, "presence-penalty": -1, "frequency-penalty": -0.5,
            "reverse-prompt": "User:", "seed": 42, "use-mmap": false, "flash-attn": true,
            "embedding": false, "main-gpu": 0, "split-mode": "none", "grammar": "",
        }));
        let config = config.unwrap();
        assert_eq!(config.load.context_size, Some(512));
        assert_eq!(config.load.embedding, None);
        assert_eq!(config.load.mmap, Some(false));
        assert_eq!(config.load.flash_attention, Some(true));
        assert_eq!(config.request.tokens_max, Some(7));
        assert_eq!(config.request.sampling.seed, Some(42));
        assert_eq!(config.request.sampling.presence_penalty, -1.0);
        assert_eq!(config.request.stop, ["User:"]);
        assert_eq!(config.request.grammar, None);
    }

    #[test]
    fn our_keys_are_understood() {
        let config = read(json!({
            "non-blocking": true, "stop": ["a", "b"], "logit-bias": {"5": -100, "6": 1.5},
            "logprobs": 3, "ignore-eos": true, "json-schema": {"type": "object"},
            "n-predict": -1, "seed": -1, "idle-unload-seconds": 300,
            "show-tokens": ["[TOOL_CALLS]"],
            "score-prompt": true, "reranking": true,
        }));
        let config = config.unwrap();
        assert_eq!(config.idle_unload, Some(Duration::from_secs(300)));
        assert_eq!(config.load.reranking, Some(true));
        let never = read(json!({"idle-unload-seconds": 0})).unwrap();
        assert_eq!(never.idle_unload, None);
        let request = config.request;
        assert!(request.non_blocking && request.ignore_eos);
        assert_eq!(request.stop, ["a", "b"]);
        assert_eq!(request.shown_tokens, ["[TOOL_CALLS]"]);
        assert!(request.score_prompt);
        assert_eq!(request.sampling.logit_bias, [(5, -100.0), (6, 1.5)]);
        assert_eq!(request.logprobs, Some(3));
        assert_eq!(request.tokens_max, None);
        assert_eq!(request.sampling.seed, None);
        let schema = Grammar::JsonSchema(r#"{"type":"object"}"#.to_owned());
        assert_eq!(request.grammar, Some(schema));
    }

    #[test]
    fn wrong_types_are_refused_by_name() {
        let check = |metadata: Value, key: &str| {
            let error = read(metadata).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        };
        check(json!([]), "object");
        check(json!({"temp": "hot"}), "temp");
        check(json!({"n-predict": 1.5}), "n-predict");
        check(json!({"ctx-size": 5_000_000_000u64}), "ctx-size");
        check(json!({"stop": [1]}), "stop");
        check(json!({"logit-bias": {"x": 1}}), "logit-bias");
        check(json!({"mmproj": "eye.gguf"}), "mmproj");
        check(json!({"logprobs": 300}), "logprobs");
        check(json!({"show-tokens": {}}), "show-tokens");
        check(json!({"score-prompt": 1}), "score-prompt");
        check(json!({"reranking": "yes"}), "reranking");
    }

    #[test]
    fn later_metadata_keeps_what_it_does_not_name() {
        let mut config = read(json!({"ctx-size": 512, "temp": 0.1})).unwrap();
        config
            .apply(
                &json!({"temp": 0.2, "top-k": null, "unknown": 1}),
                Speaker::Guest,
            )
            .unwrap();
        assert_eq!(config.load.context_size, Some(512));
        assert_eq!(config.request.sampling.temperature, 0.2);
    }
}
