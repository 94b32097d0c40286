//! Which of the node's models a request means by a name.
//!
//! Invariant: a name that is neither the model's own nor one of the two that clients of LlamaEdge send is refused; no
//! other model answers in its place.

use gaia_openai::ApiError;

/// What LlamaEdge calls the models of a node that nobody named.
const CHAT_ALIAS: &str = "default";
const EMBEDDING_ALIASES: [&str; 2] = [CHAT_ALIAS, "embedding"];

/// What a request wants a model for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Embedding,
}

/// What the node's models are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) chat: Option<&'a str>,
    pub(super) embedding: Option<&'a str>,
}

/// Refuses a name that is not that of the model of this kind.
///
/// # Errors
/// 404, which says so where it is the name of the other.
pub(super) fn check(wanted: Option<&str>, kind: Kind, named: Named<'_>) -> Result<(), ApiError> {
    let (own, other) = match kind {
        Kind::Chat => (named.chat, named.embedding),
        Kind::Embedding => (named.embedding, named.chat),
    };
    match wanted {
        None => Ok(()),
        _ if wanted == own => Ok(()),
        Some(name) if wanted == other => Err(of_another_kind(name, kind, own)),
        Some(name) if is_alias(name, kind) => Ok(()),
        Some(name) => Err(ApiError::model_not_found(name)),
    }
}

fn is_alias(name: &str, kind: Kind) -> bool {
    match kind {
        Kind::Chat => name == CHAT_ALIAS,
        Kind::Embedding => EMBEDDING_ALIASES.contains(&name),
    }
}

fn of_another_kind(name: &str, wanted: Kind, instead: Option<&str>) -> ApiError {
    let (is, does) = match wanted {
        Kind::Chat => ("embedding", "answers"),
        Kind::Embedding => ("chat", "embeds"),
    };
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
    };

    #[track_caller]
    fn check_of(named: Named<'_>, kind: Kind, taken: &[&str], refused: &[&str]) {
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
        check_of(NAMED, Kind::Chat, &["smol", "default"], &unknown);
        check_of(NAMED, Kind::Chat, &[], &["mini", "embedding"]);
        check_of(
            NAMED,
            Kind::Embedding,
            &["mini", "default", "embedding"],
            &unknown,
        );
        check_of(NAMED, Kind::Embedding, &[], &["smol"]);
    }

    #[test]
    fn a_model_that_is_called_so_comes_before_the_alias() {
        let named = Named {
            chat: Some("smol"),
            embedding: Some("default"),
        };
        check_of(named, Kind::Chat, &["smol"], &["default"]);
        check_of(named, Kind::Embedding, &["default", "embedding"], &["smol"]);
    }

    #[test]
    fn a_model_of_the_other_kind_is_said_to_be_one() {
        let message = |name: &str, kind| check(Some(name), kind, NAMED).unwrap_err().message;
        assert_eq!(
            message("smol", Kind::Embedding),
            "`smol` is this node's chat model; the one that embeds is `mini`."
        );
        assert_eq!(
            message("mini", Kind::Chat),
            "`mini` is this node's embedding model; the one that answers is `smol`."
        );
        assert!(message("gpt-4o", Kind::Chat).contains("does not exist"));
    }
}
