//! Whether a model can say how well a text answers a query, as far as its header tells.
//!
//! llama.cpp reads as many numbers of its result as the header names classes, and takes them where a model of that
//! kind would have put them. So what is loaded to rank must end in a layer that gives each pair one number.

use crate::Header;

/// The architectures for which llama.cpp makes shares of one whole of the classes, so that the first says it all.
const SHARING: [&str; 2] = ["qwen3", "qwen3vl"];

/// The class that says that a text answers the query.
const YES: &str = "yes";

/// Why a model cannot rank texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RerankingMisfit {
    /// It ends in vectors or in words.
    #[error("has no layer that gives a query and a text a score")]
    NoScore,
    /// It tells kinds of texts apart.
    #[error("sorts texts into {found} classes, where a score is needed")]
    Classes {
        /// How many.
        found: u64,
    },
    /// Names and layer do not agree.
    #[error("names {labels} classes, and its last layer has {found}")]
    Labels {
        /// The names.
        labels: u64,
        /// What the layer has.
        found: u64,
    },
}

impl Header {
    /// Why this model cannot rank; `None` where nothing in the header speaks against it.
    pub fn reranking_misfit(&self) -> Option<RerankingMisfit> {
        let Some(found) = self.classes() else {
            return Some(RerankingMisfit::NoScore);
        };
        let labels = self.class_labels();
        match labels.len() as u64 {
            0 if found == 1 => None,
            0 => Some(RerankingMisfit::Classes { found }),
            labels if labels != found => Some(RerankingMisfit::Labels { labels, found }),
            1 => None,
            2 if self.shares() && labels[0] == YES => None,
            _ => Some(RerankingMisfit::Classes { found }),
        }
    }

    /// The numbers that its last layer makes of a text, where it has one that judges texts.
    pub(crate) fn classes(&self) -> Option<u64> {
        let outputs = |name: &str| {
            let tensor = self.tensor(name)?;
            Some(tensor.dimensions.get(1).copied().unwrap_or(1))
        };
        // Of two layers the first keeps the width; where it is the only one it makes the score.
        outputs("cls.output.weight").or_else(|| outputs("cls.weight").filter(|count| *count == 1))
    }

    fn class_labels(&self) -> &[String] {
        let architecture = self.text("general.architecture").unwrap_or_default();
        let key = format!("{architecture}.classifier.output_labels");
        self.texts(&key).unwrap_or_default()
    }

    fn shares(&self) -> bool {
        let architecture = self.text("general.architecture");
        architecture.is_ok_and(|name| SHARING.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TensorType, Writer};

    fn header(
        architecture: &str,
        tensors: &[(&str, u64)],
        labels: &[&str],
        pooling: u32,
    ) -> Header {
        let mut writer = Writer::new();
        writer.set("general.architecture", architecture).unwrap();
        if pooling < u32::MAX {
            let key = format!("{architecture}.pooling_type");
            writer.set(&key, pooling).unwrap();
        }
        if !labels.is_empty() {
            let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
            let key = format!("{architecture}.classifier.output_labels");
            writer.set(&key, labels).unwrap();
        }
        for (name, outputs) in tensors {
            let bytes = vec![0; 16 * *outputs as usize];
            let added = writer.add_tensor(name, &[4, *outputs], TensorType::F32, || bytes);
            added.unwrap();
        }
        let mut file = Vec::new();
        writer.write(&mut file).unwrap();
        Header::from_bytes(&file).unwrap()
    }

    const UNNAMED: u32 = u32::MAX;

    #[test]
    fn a_score_is_one_number() {
        let check =
            |architecture, tensors: &[(&str, u64)], labels: &[&str], expected: Option<&str>| {
                let misfit = header(architecture, tensors, labels, UNNAMED).reranking_misfit();
                let said = misfit.map(|misfit| misfit.to_string());
                assert_eq!(said.as_deref(), expected, "{architecture} {tensors:?}");
            };
        let none = Some("has no layer that gives a query and a text a score");
        check("bert", &[], &[], none);
        check("bert", &[("cls.weight", 4)], &[], none);
        check(
            "bert",
            &[("cls.weight", 4), ("cls.output.weight", 1)],
            &[],
            None,
        );
        check("bert", &[("cls.output.weight", 1)], &["LABEL_0"], None);
        check("jina-bert-v2", &[("cls.weight", 1)], &[], None);
        let three = Some("sorts texts into 3 classes, where a score is needed");
        check("bert", &[("cls.output.weight", 3)], &[], three);
        check("bert", &[("cls.output.weight", 3)], &["a", "b", "c"], three);
        let two = Some("sorts texts into 2 classes, where a score is needed");
        check("bert", &[("cls.output.weight", 2)], &["yes", "no"], two);
        check("qwen3", &[("cls.output.weight", 2)], &["yes", "no"], None);
        check("qwen3", &[("cls.output.weight", 2)], &["no", "yes"], two);
        let differ = Some("names 2 classes, and its last layer has 1");
        check("jina-bert-v2", &[("cls.weight", 1)], &["a", "b"], differ);
    }

    #[test]
    fn a_ranking_model_is_known_by_its_pooling_or_its_last_layer() {
        let score: &[(&str, u64)] = &[("cls.output.weight", 1)];
        let check = |architecture, tensors, pooling, ranks, embeds| {
            let facts = header(architecture, tensors, &[], pooling).facts();
            let found = (facts.is_reranking(), facts.is_embedding());
            assert_eq!(found, (ranks, embeds), "{architecture} {pooling}");
        };
        check("bert", score, UNNAMED, true, false);
        check("bert", score, 0, true, false);
        check("qwen3", score, 4, true, false);
        check("bert", &[], 4, true, false);
        // What says that it makes vectors makes them.
        check("bert", score, 1, false, true);
        check("bert", &[], UNNAMED, false, true);
        check("qwen3", &[], 3, false, true);
        check("qwen3", &[], UNNAMED, false, false);
    }
}
