//! Which protocol a request speaks, and what all protocols share.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::view::{Answer, Usage, View};
use super::{anthropic, chat, gemini, responses};

/// How many characters a streamed fragment has at most.
const PIECE: usize = 24;

/// A protocol, with what its path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wire {
    Chat,
    Responses,
    Anthropic,
    Gemini { model: String, framing: GeminiFraming },
}

/// How a Gemini client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GeminiFraming {
    Whole,
    /// Streamed as server-sent events.
    Sse,
    /// Streamed as one JSON array.
    Array,
}

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Generate(Wire),
    CountTokens(Wire),
}

/// An answer in both forms; the client's wish picks one.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Value,
    pub(super) events: Vec<Event>,
}

/// One server-sent event.
#[derive(Debug)]
pub(super) struct Event {
    name: Option<&'static str>,
    data: String,
}

/// What makes one answer unlike the next.
#[derive(Debug)]
pub(super) struct Stamp {
    unique: String,
    /// Since 1970.
    pub(super) seconds: u64,
}

impl Target {
    /// Reads path and query of a POST.
    pub(super) fn of(path: &str, query: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        if path.ends_with("/chat/completions") {
            Some(Self::Generate(Wire::Chat))
        } else if path.ends_with("/responses") {
            Some(Self::Generate(Wire::Responses))
        } else if path.ends_with("/messages") {
            Some(Self::Generate(Wire::Anthropic))
        } else if path.ends_with("/messages/count_tokens") {
            Some(Self::CountTokens(Wire::Anthropic))
        } else {
            Self::of_gemini(path, query)
        }
    }

    /// The protocol.
    pub(super) fn wire(&self) -> &Wire {
        match self {
            Self::Generate(wire) | Self::CountTokens(wire) => wire,
        }
    }

    fn of_gemini(path: &str, query: &str) -> Option<Self> {
        let (_, last) = path.rsplit_once("/models/")?;
        let (model, action) = last.split_once(':')?;
        let wire = |framing| Wire::Gemini { model: model.to_owned(), framing };
        let framing = if query.split('&').any(|pair| pair == "alt=sse") {
            GeminiFraming::Sse
        } else {
            GeminiFraming::Array
        };
        match action {
            "generateContent" => Some(Self::Generate(wire(GeminiFraming::Whole))),
            "streamGenerateContent" => Some(Self::Generate(wire(framing))),
            "countTokens" => Some(Self::CountTokens(wire(GeminiFraming::Whole))),
            _ => None,
        }
    }
}

impl Wire {
    /// For the record.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini { .. } => "gemini",
        }
    }

    pub(super) fn view(&self, body: &Value) -> View {
        match self {
            Self::Chat => chat::view(body),
            Self::Responses => responses::view(body),
            Self::Anthropic => anthropic::view(body),
            Self::Gemini { model, framing } => {
                gemini::view(body, model, *framing != GeminiFraming::Whole)
            }
        }
    }

    pub(super) fn reply(&self, view: &View, answer: &Answer, usage: Usage) -> Reply {
        let stamp = Stamp::new();
        match self {
            Self::Chat => chat::reply(view, answer, usage, &stamp),
            Self::Responses => responses::reply(view, answer, usage, &stamp),
            Self::Anthropic => anthropic::reply(view, answer, usage, &stamp),
            Self::Gemini { .. } => gemini::reply(view, answer, usage, &stamp),
        }
    }

    /// The error body of this protocol.
    pub(super) fn error(&self, status: u16, message: &str) -> Value {
        match self {
            Self::Chat | Self::Responses => openai_error(status, message),
            Self::Anthropic => json!({
                "type": "error",
                "error": {"type": error_kind(status), "message": message},
                "request_id": Stamp::new().id("req_"),
            }),
            Self::Gemini { .. } => json!({
                "error": {"code": status, "message": message, "status": gemini_kind(status)},
            }),
        }
    }
}

/// The error body of OpenAI's protocols, also for paths of none.
pub(super) fn openai_error(status: u16, message: &str) -> Value {
    let kind = error_kind(status);
    json!({"error": {"message": message, "type": kind, "param": null, "code": kind}})
}

impl Event {
    pub(super) fn data(value: &Value) -> Self {
        Self { name: None, data: value.to_string() }
    }

    pub(super) fn named(name: &'static str, value: &Value) -> Self {
        Self { name: Some(name), data: value.to_string() }
    }

    pub(super) fn raw(text: &str) -> Self {
        Self { name: None, data: text.to_owned() }
    }

    /// As it goes over the wire.
    pub(super) fn frame(&self) -> String {
        let name = self.name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {}\n\n", self.data)
    }

    /// Its data alone, as a member of a JSON array.
    pub(super) fn into_data(self) -> String {
        self.data
    }
}

impl Stamp {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            unique: uuid::Uuid::new_v4().simple().to_string(),
            seconds: since.map_or(0, |since| since.as_secs()),
        }
    }

    /// The same for the same prefix within one answer.
    pub(super) fn id(&self, prefix: &str) -> String {
        format!("{prefix}{}", &self.unique[..24])
    }
}

/// The text as a stream carries it; at least one piece, even if empty.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut pieces: Vec<String> =
        characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect();
    if pieces.is_empty() {
        pieces.push(String::new());
    }
    pieces
}

fn error_kind(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

fn gemini_kind(status: u16) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_path_counts() {
        let generate = |wire| Some(Target::Generate(wire));
        assert_eq!(Target::of("/any/v1/chat/completions", ""), generate(Wire::Chat));
        assert_eq!(Target::of("/responses", ""), generate(Wire::Responses));
        assert_eq!(Target::of("/v1/messages", "beta=true"), generate(Wire::Anthropic));
        let gemini = |framing| Wire::Gemini { model: "m".to_owned(), framing };
        let stream = "/v1beta/models/m:streamGenerateContent";
        assert_eq!(Target::of(stream, "alt=sse"), generate(gemini(GeminiFraming::Sse)));
        assert_eq!(Target::of(stream, ""), generate(gemini(GeminiFraming::Array)));
        assert_eq!(Target::of("/v1/embeddings", ""), None);
    }

    #[test]
    fn pieces_keep_every_character() {
        let text = "ü".repeat(PIECE * 2 + 1);
        assert_eq!(pieces(&text).len(), 3);
        assert_eq!(pieces(&text).concat(), text);
        assert_eq!(pieces(""), [""]);
    }
}
