//! Which of the node's models a request means by a name.
//!
//! Invariant: a name that is neither the model's own nor one of those that clients of LlamaEdge send is refused; no
//! other model answers in its place.

use gaia_openai::ApiError;

use crate::inference::Purpose;

/// What LlamaEdge calls the models of a node that nobody named.
const CHAT_ALIAS: &str = "default";
const EMBEDDING_ALIASES: [&str; 2] = [CHAT_ALIAS, "embedding"];
/// The same for the kind that it does not have.
const RERANKING_ALIASES: [&str; 2] = [CHAT_ALIAS, "reranking"];

/// What the node's models are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) chat: Option<&'a str>,
    pub(super) embedding: Option<&'a str>,
    pub(super) reranking: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(self, kind: Purpose) -> Option<&'a str> {
        match kind {
            Purpose::Chat => self.chat,
            Purpose::Embedding => self.embedding,
            Purpose::Reranking => self.reranking,
        }
    }
}

/// Refuses a name that is not that of the model of this kind.
///
/// # Errors
/// 404, which says so where it is the name of another.
pub(super) fn check(wanted: Option<&str>, kind: Purpose, named: Named<'_>) -> Result<(), ApiError> {
    let own = named.of(kind);
    let Some(name) = wanted else { return Ok(()) };
    if wanted == own {
        return Ok(());
    }
    let mut others = Purpose::ALL.into_iter().filter(|other| *other != kind);
    match others.find(|other| wanted == named.of(*other)) {
        Some(other) => Err(of_another_kind(name, other, kind, own)),
        None if is_alias(name, kind) => Ok(()),
        None => Err(ApiError::model_not_found(name)),
    }
}

fn is_alias(name: &str, kind: Purpose) -> bool {
    match kind {
        Purpose::Chat => name == CHAT_ALIAS,
        Purpose::Embedding => EMBEDDING_ALIASES.contains(&name),
        Purpose::Reranking => RERANKING_ALIASES.contains(&name),
    }
}

fn does(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Chat => "answers",
        Purpose::Embedding => "embeds",
        Purpose::Reranking => "ranks",
    }
}

fn of_another_kind(name: &str, is: Purpose, wanted: Purpose, instead: Option<&str>) -> ApiError {
    let (is, does) = (is.name(), does(wanted));
    let instead = instead.unwrap_or_default();
    ApiError {
        message: format!("`{name}` is this node's {is} model; the one that {does} is `{instead}`."),
        ..ApiError::model_not_found(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Named<'_> = Named {
        chat: Some("smol"),
        embedding: Some("mini"),
        reranking: Some("judge"),
    };

    #[track_caller]
    fn check_of(named: Named<'_>, kind: Purpose, taken: &[&str], refused: &[&str]) {
        assert!(check(None, kind, named).is_ok());
        for name in taken {
            assert!(check(Some(name), kind, named).is_ok(), "{name}");
        }
        for name in refused {
            let error = check(Some(name), kind, named).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (404, Some("model")));
            assert_eq!(error.code.as_deref(), Some("model_not_found"), "{name}");
        }
    }

    #[test]
    fn a_model_answers_to_its_name_and_no_other_does() {
        let unknown = ["gpt-4o", "", "Default", "smol2", "default "];
        check_of(NAMED, Purpose::Chat, &["smol", "default"], &unknown);
        check_of(NAMED, Purpose::Chat, &[], &["mini", "embedding"]);
        check_of(
            NAMED,
            Purpose::Embedding,
            &["mini", "default", "embedding"],
            &unknown,
        );
        check_of(NAMED, Purpose::Embedding, &[], &["smol", "judge"]);
        let taken = ["judge", "default", "reranking"];
        check_of(NAMED, Purpose::Reranking, &taken, &unknown);
        check_of(
            NAMED,
            Purpose::Reranking,
            &[],
            &["smol", "mini", "embedding"],
        );
    }

    #[test]
    fn a_model_that_is_called_so_comes_before_the_alias() {
        let named = Named {
            chat: Some("smol"),
            embedding: Some("default"),
            reranking: None,
        };
        check_of(named, Purpose::Chat, &["smol"], &["default"]);
        check_of(
            named,
            Purpose::Embedding,
            &["default", "embedding"],
            &["smol"],
        );
    }

    #[test]
    fn a_model_of_the_other_kind_is_said_to_be_one() {
        let message = |name: &str, kind| check(Some(name), kind, NAMED).unwrap_err().message;
        assert_eq!(
            message("smol", Purpose::Embedding),
            "`smol` is this node's chat model; the one that embeds is `mini`."
        );
        assert_eq!(
            message("mini", Purpose::Chat),
            "`mini` is this node's embedding model; the one that answers is `smol`."
        );
        assert_eq!(
            message("judge", Purpose::Chat),
            "`judge` is this node's reranking model; the one that answers is `smol`."
        );
        assert!(message("gpt-4o", Purpose::Chat).contains("does not exist"));
    }
}
