//! What an answer says of tokens, in the words of each protocol.
//!
//! Invariant: whatever a provider sends, this only counts. A field that is absent, of another type or
//! zero says nothing.

use serde_json::Value;

use super::wire::Wire;

/// Bytes of text that are counted as one token while the provider has not said how many there are.
/// About right for English and code; other scripts have fewer bytes to a token, and are reconciled.
const BYTES_PER_TOKEN: usize = 4;

/// A string of a request this long (in bytes), in Base64 and in one of these fields, is no text but an image
/// or a file, or something that the provider sealed.
const BLOB_MIN: usize = 1024;
const BLOB_FIELDS: [&str; 7] =
    ["data", "encrypted_content", "file_data", "image_url", "signature", "thoughtSignature", "url"];

/// What such a string is counted as, in tokens: about what a large image is.
const BLOB_TOKENS: u64 = 1500;

/// What one event, or a whole answer, says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The model that answers.
    pub(super) model: Option<String>,
    /// Tokens read, those from a cache among them.
    pub(super) input: Option<u64>,
    /// Those from a cache.
    pub(super) cached: Option<u64>,
    /// Tokens written so far.
    pub(super) output: Option<u64>,
    /// Bytes of text that the model wrote in this event.
    pub(super) written: usize,
}

impl Reading {
    /// Reads an event or a whole answer.
    pub(super) fn of(wire: Wire, value: &Value) -> Self {
        let mut reading = match wire {
            Wire::Chat => chat(value),
            Wire::Responses => responses(value),
            Wire::Anthropic => anthropic(value),
            Wire::Gemini => gemini(value),
        };
        reading.input = reading.input.filter(|tokens| *tokens > 0);
        reading.output = reading.output.filter(|tokens| *tokens > 0);
        reading
    }
}

/// The estimate for a text of so many bytes: one token for every four that are begun.
pub(super) fn tokens_of(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

/// The estimate for a request: its size, with images and files as so many tokens each.
pub(super) fn tokens_of_request(size: usize, request: &Value) -> u64 {
    let (blobs, bytes) = blobs(request);
    tokens_of(size.saturating_sub(bytes)) + blobs * BLOB_TOKENS
}

/// How many images and files there are, and their bytes.
fn blobs(value: &Value) -> (u64, usize) {
    let sum = |(count, bytes): (u64, usize), (more, longer)| (count + more, bytes + longer);
    match value {
        Value::Array(items) => items.iter().map(blobs).fold((0, 0), sum),
        Value::Object(fields) => {
            let of_field = |(name, value): (&String, &Value)| match value {
                Value::String(text) if is_blob(name, text) => (1, text.len()),
                _ => blobs(value),
            };
            fields.iter().map(of_field).fold((0, 0), sum)
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => (0, 0),
    }
}

fn is_blob(field: &str, text: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    let data = text.split_once(";base64,").map_or(text, |(_kind, data)| data);
    BLOB_FIELDS.contains(&field) && data.len() >= BLOB_MIN && data.bytes().all(base64)
}

fn chat(value: &Value) -> Reading {
    let usage = &value["usage"];
    let choices = value["choices"].as_array().into_iter().flatten();
    Reading {
        model: text(&value["model"]),
        input: usage["prompt_tokens"].as_u64(),
        cached: usage["prompt_tokens_details"]["cached_tokens"].as_u64(),
        output: usage["completion_tokens"].as_u64(),
        written: choices.map(|choice| length(&choice["delta"])).sum(),
    }
}

fn responses(value: &Value) -> Reading {
    let kind = value["type"].as_str().unwrap_or_default();
    // An event about the answer as a whole has it inside.
    let answer = if value["response"].is_object() { &value["response"] } else { value };
    let usage = &answer["usage"];
    Reading {
        model: text(&answer["model"]),
        input: usage["input_tokens"].as_u64(),
        cached: usage["input_tokens_details"]["cached_tokens"].as_u64(),
        output: usage["output_tokens"].as_u64(),
        written: if kind.ends_with(".delta") { length(&value["delta"]) } else { 0 },
    }
}

fn anthropic(value: &Value) -> Reading {
    let kind = value["type"].as_str().unwrap_or_default();
    let message = if kind == "message_start" { &value["message"] } else { value };
    let usage = &message["usage"];
    let count = |name: &str| usage[name].as_u64();
    let cached = count("cache_read_input_tokens");
    let written = match kind {
        "content_block_start" => length(&value["content_block"]["name"]),
        "content_block_delta" => length(&value["delta"]),
        _ => 0,
    };
    Reading {
        model: text(&message["model"]),
        input: count("input_tokens").map(|fresh| {
            let stored = count("cache_creation_input_tokens").unwrap_or(0);
            fresh.saturating_add(cached.unwrap_or(0)).saturating_add(stored)
        }),
        cached,
        // What a stream says of this at its beginning is no result.
        output: count("output_tokens").filter(|_| kind != "message_start"),
        written,
    }
}

fn gemini(value: &Value) -> Reading {
    let usage = &value["usageMetadata"];
    let count = |name: &str| usage[name].as_u64();
    let candidates = value["candidates"].as_array().into_iter().flatten();
    let parts = candidates.flat_map(|one| one["content"]["parts"].as_array().into_iter().flatten());
    let written = parts.map(|part| {
        let call = &part["functionCall"];
        // The model writes the names of arguments, too.
        let arguments = if call.is_object() { call["args"].to_string().len() } else { 0 };
        length(&part["text"]) + length(&call["name"]) + arguments + length(&part["executableCode"])
    });
    let thought = count("thoughtsTokenCount").unwrap_or(0);
    let more = count("toolUsePromptTokenCount").unwrap_or(0);
    Reading {
        model: text(&value["modelVersion"]),
        input: count("promptTokenCount").map(|prompt| prompt.saturating_add(more)),
        cached: count("cachedContentTokenCount"),
        output: count("candidatesTokenCount").map_or((thought > 0).then_some(thought), |tokens| {
            Some(tokens.saturating_add(thought))
        }),
        written: written.sum(),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Bytes of all that a model wrote into a value: texts, and the names and values of arguments. What
/// only names or signs a piece is left out.
fn length(value: &Value) -> usize {
    const NOT_WRITTEN: [&str; 6] = ["role", "id", "type", "signature", "index", "thoughtSignature"];
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(length).sum(),
        Value::Object(fields) => {
            let written = fields.iter().filter(|(name, _)| !NOT_WRITTEN.contains(&name.as_str()));
            written.map(|(_, value)| length(value)).sum()
        }
        Value::Number(number) => number.to_string().len(),
        Value::Null | Value::Bool(_) => 0,
    }
}

#[cfg(test)]
mod tests;
