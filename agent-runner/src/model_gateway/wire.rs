//! The protocols that coding CLIs speak to a model, and which paths belong to them.
//!
//! Invariant: only what is named here reaches the provider.

use hyper::{HeaderMap, Method, StatusCode};

use super::frames::Framing;
use super::refusal::Refusal;
use crate::bounded::bounded;

/// Largest model name in a path, and longest path in a message, in bytes.
const NAME_MAX: usize = 200;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini.
    Gemini,
}

/// What is asked of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// An answer of the model.
    Generate,
    /// An answer of the model in pieces, because the path says so; the model is in the path as well.
    GenerateAt {
        /// The model.
        model: String,
        /// Whether the answer comes in pieces.
        in_pieces: bool,
    },
    /// How many tokens a request would have.
    CountTokens,
    /// Which models there are.
    ListModels,
}

/// A request that may go to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The protocol.
    pub(super) wire: Wire,
    /// What is asked.
    pub(super) operation: Operation,
}

impl Route {
    /// What a request asks for, where `base` is the path of the provider's base URL: with its version
    /// or without, for some CLIs add it.
    ///
    /// # Errors
    /// When it is nothing that a model is asked.
    pub(super) fn of(base: &str, method: &Method, path: &str) -> Result<Self, Refusal> {
        let not_found = || {
            let path = bounded(path, NAME_MAX);
            let message =
                format!("{method} {path} is not passed on: this is no request to a model");
            Refusal::new(StatusCode::NOT_FOUND, message)
        };
        let rest = path.strip_prefix(without_version(base)).filter(|rest| rest.starts_with('/'));
        let rest = after_version(rest.ok_or_else(not_found)?);
        let post = method == Method::POST;
        let (wire, operation) = match rest {
            "/chat/completions" if post => (Wire::Chat, Operation::Generate),
            "/responses" if post => (Wire::Responses, Operation::Generate),
            "/messages" if post => (Wire::Anthropic, Operation::Generate),
            "/messages/count_tokens" if post => (Wire::Anthropic, Operation::CountTokens),
            "/models" if method == Method::GET => (Wire::Chat, Operation::ListModels),
            _ => of_model(method, rest).ok_or_else(not_found)?,
        };
        Ok(Self { wire, operation })
    }

    /// How an answer is divided that comes as JSON.
    pub(super) fn json_framing(&self) -> Option<Framing> {
        match self.operation {
            Operation::GenerateAt { in_pieces: true, .. } => Some(Framing::JsonArray),
            _ => None,
        }
    }

    /// Whether tokens are written.
    pub(super) const fn generates(&self) -> bool {
        matches!(self.operation, Operation::Generate | Operation::GenerateAt { .. })
    }
}

/// The path of a request below `base` as it is below `other`, whose version counts where it has one, and
/// with another model where the path names one.
pub(super) fn moved(path: &str, base: &str, other: &str, model: Option<&str>) -> String {
    let rest = path.strip_prefix(without_version(base)).unwrap_or(path);
    let operation = after_version(rest);
    let other = other.trim_end_matches('/');
    let version = match without_version(other).len() < other.len() {
        true => "",
        false => &rest[..rest.len() - operation.len()],
    };
    let named = operation.strip_prefix("/models/").and_then(|name| name.rsplit_once(':'));
    match (named, model) {
        (Some((_, action)), Some(model)) => format!("{other}{version}/models/{model}:{action}"),
        _ => format!("{other}{version}{operation}"),
    }
}

/// `/models/<name>` and `/models/<name>:<what>`.
fn of_model(method: &Method, rest: &str) -> Option<(Wire, Operation)> {
    let name = rest.strip_prefix("/models/")?;
    let (model, action) = match name.rsplit_once(':') {
        Some((model, action)) if method == Method::POST => (model, Some(action)),
        _ => (name, None),
    };
    // No way out of the folder, and no other spelling of one.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@/".contains(&byte);
    let is_name = !model.is_empty() && model.len() <= NAME_MAX && model.bytes().all(plain);
    if !is_name || model.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let at = |in_pieces| Operation::GenerateAt { model: model.to_owned(), in_pieces };
    let operation = match action {
        Some("generateContent") => at(false),
        Some("streamGenerateContent") => at(true),
        Some("countTokens") => Operation::CountTokens,
        None if method == Method::GET => return Some((Wire::Chat, Operation::ListModels)),
        Some(_) | None => return None,
    };
    Some((Wire::Gemini, operation))
}

/// A path without the version at its end and the slash.
fn without_version(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((before, last)) if is_version(last) => before,
        _ => path,
    }
}

/// A path without the version at its beginning.
fn after_version(path: &str) -> &str {
    let first = path[1..].split('/').next().unwrap_or_default();
    if is_version(first) { &path[1 + first.len()..] } else { path }
}

/// `v1`, `v1beta`, `v4`.
fn is_version(segment: &str) -> bool {
    let number = segment.strip_prefix('v').unwrap_or_default();
    number.starts_with(|first: char| first.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Wire {
    /// For the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Chat => "OpenAI-compatible chat completions (/v1/chat/completions)",
            Self::Responses => "the OpenAI Responses API (/v1/responses)",
            Self::Anthropic => "Anthropic Messages (/v1/messages)",
            Self::Gemini => "the Gemini API (/v1beta/models/…:generateContent)",
        }
    }

    /// The path at which an answer of this model is asked for below a base, as the CLIs make it of that.
    pub(crate) fn generating(self, base: &str, model: &str) -> String {
        let (base, plain) = (base.trim_end_matches('/'), without_version(base));
        let openai = if plain.len() < base.len() { base.to_owned() } else { format!("{base}/v1") };
        match self {
            Self::Chat => format!("{openai}/chat/completions"),
            Self::Responses => format!("{openai}/responses"),
            Self::Anthropic => format!("{plain}/v1/messages"),
            Self::Gemini => format!("{plain}/v1beta/models/{model}:generateContent"),
        }
    }

    /// The protocol of a client whose request says nothing else about it.
    pub(super) fn of_client(path: &str, headers: &HeaderMap) -> Self {
        if headers.contains_key("anthropic-version") || path.contains("/messages") {
            Self::Anthropic
        } else if headers.contains_key("x-goog-api-key") || path.contains("/models/") {
            Self::Gemini
        } else if path.contains("/responses") {
            Self::Responses
        } else {
            Self::Chat
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(base: &str, method: &Method, path: &str) -> Option<Route> {
        Route::of(base, method, path).ok()
    }

    fn posted(base: &str, path: &str) -> Option<(Wire, Operation)> {
        route(base, &Method::POST, path).map(|route| (route.wire, route.operation))
    }

    #[test]
    fn every_wire_is_found_below_the_base_with_a_version_or_without() {
        use Operation::{CountTokens, Generate};
        for base in ["", "/", "/v1", "/v1/"] {
            assert_eq!(posted(base, "/v1/chat/completions"), Some((Wire::Chat, Generate)));
            assert_eq!(posted(base, "/v1/responses"), Some((Wire::Responses, Generate)));
            assert_eq!(posted(base, "/v1/messages"), Some((Wire::Anthropic, Generate)));
            let count = posted(base, "/v1/messages/count_tokens");
            assert_eq!(count, Some((Wire::Anthropic, CountTokens)));
        }
        let at = |in_pieces| Operation::GenerateAt { model: "m-1.5".to_owned(), in_pieces };
        let gemini = |what: &str| posted("/v1beta", &format!("/v1beta/models/m-1.5:{what}"));
        assert_eq!(gemini("generateContent"), Some((Wire::Gemini, at(false))));
        assert_eq!(gemini("streamGenerateContent"), Some((Wire::Gemini, at(true))));
        assert_eq!(gemini("countTokens"), Some((Wire::Gemini, CountTokens)));
        assert!(posted("/api/v4", "/api/v4/chat/completions").is_some());
        assert!(posted("/openai", "/openai/chat/completions").is_some());
        assert!(route("/v1", &Method::GET, "/v1/models").is_some());
        assert!(route("/v1", &Method::GET, "/v1/models/vendor/model:free").is_some());
    }

    #[test]
    fn the_path_of_an_answer_is_one_that_is_passed_on() {
        for wire in [Wire::Chat, Wire::Responses, Wire::Anthropic, Wire::Gemini] {
            for base in ["", "/", "/v1", "/v1/", "/team", "/team/v1beta"] {
                let path = wire.generating(base, "m-1.5");
                let route = route(base, &Method::POST, &path);
                assert!(route.is_some_and(|route| route.wire == wire), "{base}: {path}");
            }
        }
        assert_eq!(Wire::Chat.generating("/api/v4/", "m"), "/api/v4/chat/completions");
    }

    #[test]
    fn a_path_is_moved_below_another_base_with_its_version_or_the_other_ones() {
        let chat = "/v1/chat/completions";
        assert_eq!(moved(chat, "/v1", "/api/v4/", None), "/api/v4/chat/completions");
        assert_eq!(moved(chat, "/v1", "", None), chat);
        assert_eq!(moved("/team/v1/messages", "/team", "/x", None), "/x/v1/messages");
        assert_eq!(moved("/messages", "", "/v1", None), "/v1/messages");
        let gemini = "/v1beta/models/m:streamGenerateContent";
        let other = moved(gemini, "/v1beta", "/v1", Some("n-2"));
        assert_eq!(other, "/v1/models/n-2:streamGenerateContent");
    }

    #[test]
    fn nothing_else_is_passed_on() {
        for path in [
            "/v1/embeddings",
            "/v1/files",
            "/v1/organization/api_keys",
            "/v1/chat/completions/",
            "/v1/chat/completions/x",
            "/v1/../v1/messages",
            "/x/v1/messages",
            "/messages/batches",
            "/v1beta/models/m:batchEmbedContents",
            "/v1beta/models/../files:generateContent",
            "/v1beta/models/%2e%2e/x:generateContent",
            "/v1beta/models/:generateContent",
            "/v1/models/m",
            "/",
            "",
            "*",
        ] {
            assert_eq!(posted("/v1", path), None, "{path}");
        }
        assert_eq!(posted("/team", "/v1/messages"), None);
        assert_eq!(posted("/team", "/teammate/messages"), None);
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
            assert_eq!(route("", &method, "/v1/chat/completions"), None);
        }
        assert_eq!(route("", &Method::DELETE, "/v1/models/m"), None);
    }
}
