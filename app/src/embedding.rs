//! An OpenAI-compatible endpoint that tells what texts mean.
//!
//! Invariants: an answer is taken whole or not at all; an error repeats neither the key nor what was
//! sent; while the endpoint fails, it is asked again only now and then, so that nobody waits for it each
//! time. A text that it refuses is no failure of the endpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_client::Secret;
use api_client::http::{describe, http_client};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::vector::Vector;

/// How long one request may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long an endpoint that failed is left alone.
const PAUSE: Duration = Duration::from_secs(30);

/// Largest answer, in bytes: a batch of vectors of 4,096 numbers, written out, is half of it.
const ANSWER_MAX: usize = 8 << 20;

/// Most texts of one request.
pub(crate) const BATCH_MAX: usize = 32;

/// Characters of a text that are sent: models read some 8,000 tokens, of which a character may be two,
/// and refuse more.
const TEXT_MAX_CHARS: usize = 4_000;

/// What is sent for a text without a word, since endpoints refuse nothing at all.
const PLAIN_TEXT: &str = "-";

/// Where the endpoint is.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddingConfig {
    /// Base URL, to which `embeddings` is added.
    pub(crate) url: Url,
    pub(crate) model: String,
    pub(crate) key: Option<Secret>,
}

/// What the endpoint made of texts.
#[derive(Debug)]
pub(crate) enum Embedded {
    /// One vector for each.
    Vectors(Vec<Vector>),
    /// It answers, and takes not all of these texts.
    Refused,
    /// It fails, or failed a moment ago.
    Failing,
}

/// The endpoint gave no vectors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddingError {
    #[error("no answer from {url} ({problem})")]
    Unreachable { url: Url, problem: String },
    #[error("{url} answered {status}; check its model and key")]
    Refused { url: Url, status: StatusCode },
    #[error("the answer of {url} is of no use: {problem}")]
    Useless { url: Url, problem: String },
    #[error("it failed less than {} s ago", PAUSE.as_secs())]
    Paused,
}

impl EmbeddingError {
    /// Whether other texts may fare better.
    fn is_of_the_texts(&self) -> bool {
        const OF_TEXTS: [StatusCode; 3] = [
            StatusCode::BAD_REQUEST,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        matches!(self, Self::Refused { status, .. } if OF_TEXTS.contains(status))
    }
}

/// Whether the endpoint answers: a streak of failures is logged once.
#[derive(Clone, Copy, Debug)]
enum Health {
    Well,
    FailedAt(Instant),
}

/// The endpoint.
#[derive(Debug)]
pub(crate) struct Embedder {
    url: Url,
    model: String,
    key: Option<Secret>,
    http: reqwest::Client,
    health: Mutex<Health>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    embedding: Vec<f32>,
}

impl Embedder {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be set up.
    pub(crate) fn new(config: EmbeddingConfig) -> Result<Self, reqwest::Error> {
        let EmbeddingConfig { mut url, model, key } = config;
        url.set_path(&format!("{}/embeddings", url.path().trim_end_matches('/')));
        let agent = concat!("terarchitect-app/", env!("CARGO_PKG_VERSION"));
        let http = http_client(agent).timeout(TIME_LIMIT).build()?;
        Ok(Self { url, model, key, http, health: Mutex::new(Health::Well) })
    }

    /// The model, without whose name a vector means nothing.
    pub(crate) fn model(&self) -> String {
        self.model.clone()
    }

    /// What is made of these texts, of which there may be [`BATCH_MAX`]. The log has one line for each
    /// streak of failures.
    pub(crate) async fn embed(&self, texts: &[String]) -> Embedded {
        match self.try_embed(texts).await {
            Ok(vectors) => {
                self.answered();
                Embedded::Vectors(vectors)
            }
            Err(error) if error.is_of_the_texts() => Embedded::Refused,
            Err(error) => {
                self.failed(&error);
                Embedded::Failing
            }
        }
    }

    /// Whether it takes a text that none refuses. If not, what it refused was not the text.
    pub(crate) async fn is_well(&self) -> bool {
        match self.try_embed(&[PLAIN_TEXT.to_owned()]).await {
            Ok(_) => true,
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn answered(&self) {
        if let Health::FailedAt(_) = std::mem::replace(&mut *self.health(), Health::Well) {
            tracing::info!(url = %self.url, "the embedding endpoint answers again");
        }
    }

    fn failed(&self, error: &EmbeddingError) {
        if matches!(error, EmbeddingError::Paused) {
            return;
        }
        let failed = Health::FailedAt(Instant::now());
        if let Health::Well = std::mem::replace(&mut *self.health(), failed) {
            tracing::warn!(%error, "memory is searched by words alone for now");
        }
    }

    async fn try_embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbeddingError> {
        if let Health::FailedAt(time) = *self.health()
            && time.elapsed() < PAUSE
        {
            return Err(EmbeddingError::Paused);
        }
        let input: Vec<String> = texts.iter().map(|text| shortened(text)).collect();
        let body = json!({ "model": self.model, "input": input, "encoding_format": "float" });
        let mut request = self.http.post(self.url.clone()).json(&body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let bytes = self.receive(request).await?;
        let answer = serde_json::from_slice(&bytes)
            .map_err(|error| self.useless(format!("it cannot be read: {error}")))?;
        in_order(answer, texts.len()).map_err(|problem| self.useless(problem))
    }

    async fn receive(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, EmbeddingError> {
        let unreachable =
            |error| EmbeddingError::Unreachable { url: self.url.clone(), problem: describe(error) };
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(EmbeddingError::Refused {
                url: self.url.clone(),
                status: response.status(),
            });
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + piece.len() > ANSWER_MAX {
                return Err(self.useless(format!("it is longer than {ANSWER_MAX} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn useless(&self, problem: String) -> EmbeddingError {
        EmbeddingError::Useless { url: self.url.clone(), problem }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of a text; an empty one is refused by endpoints.
fn shortened(text: &str) -> String {
    let text: String = text.chars().take(TEXT_MAX_CHARS).collect();
    if text.trim().is_empty() { PLAIN_TEXT.to_owned() } else { text }
}

/// The vectors in the order of the texts.
fn in_order(answer: Answer, count: usize) -> Result<Vec<Vector>, String> {
    let mut vectors: Vec<Option<Vector>> = vec![None; count];
    for Embedding { index, embedding } in answer.data {
        let place = vectors.get_mut(index);
        *place.ok_or_else(|| format!("there is no text {index}"))? = Vector::new(&embedding);
    }
    let missing = |index| format!("there is no vector for text {index}");
    let vectors = vectors.into_iter().enumerate();
    vectors.map(|(index, vector)| vector.ok_or_else(|| missing(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Vec<Vector>, String> {
        in_order(serde_json::from_str(text).unwrap(), 2)
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let turned = r#"{"data": [{"index": 1, "embedding": [0, 2]},
            {"index": 0, "embedding": [3, 0], "object": "embedding"}], "usage": {}}"#;
        let expected = [[1.0, 0.0], [0.0, 1.0]].map(|numbers| Vector::new(&numbers).unwrap());
        assert_eq!(answer(turned).unwrap(), expected);
    }

    #[test]
    fn an_answer_with_a_vector_too_few_is_taken_for_nothing() {
        for (text, words) in [
            (r#"{"data": []}"#, "no vector for text 0"),
            (r#"{"data": [{"index": 0, "embedding": [1]}]}"#, "no vector for text 1"),
            (r#"{"data": [{"index": 0, "embedding": [0]}]}"#, "no vector for text 0"),
            (r#"{"data": [{"index": 7, "embedding": [1]}]}"#, "no text 7"),
        ] {
            let error = answer(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_an_empty_one_is_not_sent() {
        assert_eq!(shortened(&"é".repeat(9_000)).chars().count(), TEXT_MAX_CHARS);
        assert_eq!(shortened(" \n"), "-");
    }
}
