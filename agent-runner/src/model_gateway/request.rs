//! A caller's request as the provider gets it.
//!
//! Invariant: who does not show the placeholder gets nothing; the provider's key goes where the
//! placeholder was, in a header, and never into a URL.

use std::ops::Range;

use api_client::Secret;
use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;
use url::{Url, form_urlencoded};

use super::refusal::Refusal;
use super::usage::tokens_of_request;
use super::wire::{Operation, Route, Wire};

/// Headers in which a key may be, with that of Google's query last.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The parameter of a query in which a key may be.
const KEY_PARAMETER: &str = "key";

/// Parameters that are not passed on: a key, and the choice of an answer without its usage.
const DROPPED: [&str; 3] = [KEY_PARAMETER, "fields", "$fields"];

/// What an answer may have where the request sets no limit, and the most that is expected of one, in tokens.
const ANSWER: u64 = 4_096;
const ANSWER_MAX: u64 = 8_192;

/// Headers that are about one connection, or that we set ourselves.
const NOT_PASSED_ON: [HeaderName; 14] = [
    header::ACCEPT_ENCODING,
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    API_KEY,
    GOOGLE_KEY,
];

/// What an OpenAI stream must be asked for to say how many tokens it had.
const STREAM_OPTIONS: &str = r#""stream_options":{"include_usage":true}"#;

/// Where a caller put its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPlace {
    /// `Authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    ApiKey,
    /// `x-goog-api-key: …` or `?key=…`
    GoogleKey,
}

/// The provider's key, ready for either form.
#[derive(Clone, Debug)]
pub(super) struct Key {
    bearer: HeaderValue,
    plain: HeaderValue,
}

/// What goes to the provider.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The model that is asked, as far as the request says.
    pub(super) model: String,
    /// What the request will be read as, in tokens, by estimate.
    pub(super) expected: u64,
    /// What may be written, in tokens, where nobody will hear how much it was.
    pub(super) answer: u64,
    /// The body.
    pub(super) body: Bytes,
    /// Whether the answer will have an event about tokens that the caller did not ask for.
    pub(super) added_usage: bool,
}

impl Key {
    /// A key for headers; nothing when it has characters that no header may have.
    pub(super) fn new(key: &Secret) -> Option<Self> {
        let sensitive = |text: &str| {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let bearer = Secret::from(format!("Bearer {}", key.expose()));
        Some(Self { bearer: sensitive(bearer.expose())?, plain: sensitive(key.expose())? })
    }

    /// The header that holds it.
    pub(super) fn header(&self, place: KeyPlace) -> (HeaderName, HeaderValue) {
        match place {
            KeyPlace::Bearer => (header::AUTHORIZATION, self.bearer.clone()),
            KeyPlace::ApiKey => (API_KEY, self.plain.clone()),
            KeyPlace::GoogleKey => (GOOGLE_KEY, self.plain.clone()),
        }
    }
}

/// Where the placeholder is.
///
/// # Errors
/// When it is nowhere.
pub(super) fn key_place(head: &Parts, placeholder: &Secret) -> Result<KeyPlace, Refusal> {
    let is_it = |shown: &[u8]| bool::from(shown.ct_eq(placeholder.expose().as_bytes()));
    let header = |name: &HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
    let bearer = header(&header::AUTHORIZATION)
        .and_then(|value| value.strip_prefix(b"Bearer ").or(value.strip_prefix(b"bearer ")));
    if bearer.is_some_and(is_it) {
        Ok(KeyPlace::Bearer)
    } else if header(&API_KEY).is_some_and(is_it) {
        Ok(KeyPlace::ApiKey)
    } else if header(&GOOGLE_KEY).is_some_and(is_it)
        || parameters(head).any(|(name, value)| name == KEY_PARAMETER && is_it(value.as_bytes()))
    {
        Ok(KeyPlace::GoogleKey)
    } else {
        let message = "this is not the key that was given to the coding CLI of this job";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, message))
    }
}

/// The address at the provider: same path, same query without a key.
pub(super) fn url(upstream: &Url, head: &Parts) -> Url {
    let mut url = upstream.clone();
    url.set_path(head.uri.path());
    url.set_query(head.uri.query());
    let dropped = |name: &str| DROPPED.contains(&name);
    if parameters(head).any(|(name, _)| dropped(&name)) {
        let kept = parameters(head).filter(|(name, _)| !dropped(name));
        url.query_pairs_mut().clear().extend_pairs(kept);
    }
    url
}

/// The headers for the provider. Answers are wanted uncompressed, for they are read.
pub(super) fn headers(head: &Parts, place: KeyPlace, key: &Key) -> HeaderMap {
    let mut headers = passed_on(&head.headers);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let (name, value) = key.header(place);
    headers.insert(name, value);
    headers
}

/// Headers without those of the connection, in either direction.
pub(super) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let kept = headers.iter().filter(|(name, _)| {
        let name: &HeaderName = name;
        !NOT_PASSED_ON.contains(name)
            && !name.as_str().starts_with("proxy-")
            && name.as_str() != "keep-alive"
            && !named.iter().any(|other| other == name.as_str())
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The body for the provider, and what it says.
///
/// # Errors
/// When it is no JSON object.
pub(super) fn outgoing(route: &Route, body: Bytes) -> Result<Outgoing, Refusal> {
    if route.operation == Operation::ListModels {
        let model = String::new();
        return Ok(Outgoing { model, expected: 0, answer: 0, body, added_usage: false });
    }
    let value = serde_json::from_slice::<Value>(&body).ok().filter(Value::is_object);
    let value = value.ok_or_else(|| {
        Refusal::new(StatusCode::BAD_REQUEST, "the body of the request is no JSON object")
    })?;
    let refused = |message| Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    if value["background"].as_bool() == Some(true) {
        return refused(
            "answers in the background cannot be counted: ask for one that is waited for",
        );
    }
    if value.get("model").is_some() && place_of_model(&body).is_none() {
        return refused("the request names its model more than once");
    }
    let model = match &route.operation {
        Operation::GenerateAt { model, .. } => model.as_str(),
        _ => value["model"].as_str().unwrap_or_default(),
    };
    let (model, expected) = (model.to_owned(), tokens_of_request(body.len(), &value));
    let is_stream = route.wire == Wire::Chat && value["stream"].as_bool() == Some(true);
    let added_usage = is_stream && value["stream_options"]["include_usage"].as_bool() != Some(true);
    let answer = answer_of(&value);
    let body = if added_usage { with_usage(&body, value) } else { body };
    Ok(Outgoing { model, expected, answer, body, added_usage })
}

/// The body with another model in it, and not a byte of the rest changed.
pub(super) fn with_model(body: &Bytes, model: &str) -> Bytes {
    let Some(place) = place_of_model(body) else { return body.clone() };
    let model = Value::from(model).to_string();
    [&body[..place.start], model.as_bytes(), &body[place.end..]].concat().into()
}

/// Where a body names its model, if it does so once.
fn place_of_model(body: &Bytes) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Named<'b> {
        #[serde(borrow)]
        model: &'b RawValue,
    }
    let Named { model } = serde_json::from_slice(body).ok()?;
    let begin = model.get().as_ptr().addr() - body.as_ptr().addr();
    Some(begin..begin + model.get().len())
}

/// What the model may write.
fn answer_of(request: &Value) -> u64 {
    let limits = [
        &request["max_tokens"],
        &request["max_completion_tokens"],
        &request["max_output_tokens"],
        &request["generationConfig"]["maxOutputTokens"],
    ];
    limits.into_iter().find_map(Value::as_u64).unwrap_or(ANSWER).min(ANSWER_MAX)
}

/// The body with a request for usage in it, where possible without touching the rest: the order of
/// fields means something to a model.
fn with_usage(body: &Bytes, mut value: Value) -> Bytes {
    let begin = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
    if value.get("stream_options").is_none() {
        let parts = [&body[..begin], STREAM_OPTIONS.as_bytes(), b",", &body[begin..]];
        return parts.concat().into();
    }
    let options = &mut value["stream_options"];
    if !options.is_object() {
        *options = Value::Object(serde_json::Map::new());
    }
    options["include_usage"] = Value::Bool(true);
    value.to_string().into()
}

fn parameters(head: &Parts) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests;
