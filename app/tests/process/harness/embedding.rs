//! An embedding endpoint of our own, which understands a few words and can be made to fail.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The key that it asks for.
pub(crate) const EMBEDDING_KEY: &str = "embedding-key-0123456789";

/// Words that mean the same, one row for each direction.
const MEANINGS: [[&str; 3]; 3] = [
    ["login", "authentication", "credentials"],
    ["board", "kanban", "columns"],
    ["speed", "latency", "slow"],
];

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Fails,
    Rubbish,
    Hangs,
    /// It takes no request with [`REFUSED_WORD`] in a text.
    Picky,
    /// It takes no request.
    RefusesAll,
}

/// The word in a text that a picky endpoint refuses.
pub(crate) const REFUSED_WORD: &str = "unspeakable";

/// The endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    mood: Mood,
    asked: Vec<Value>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared { mood: Mood::Well, asked: Vec::new() }));
        let endpoint = Self { url, shared };
        let router = Router::new().route("/v1/embeddings", post(answer));
        let router = router.with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        endpoint
    }

    /// What names it to a server.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TERARCHITECT_APP_EMBEDDING_URL", self.url.clone()),
            ("TERARCHITECT_APP_EMBEDDING_MODEL", "m-1".to_owned()),
            ("TERARCHITECT_APP_EMBEDDING_KEY", EMBEDDING_KEY.to_owned()),
        ]
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    /// The bodies of all requests so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.shared.lock().unwrap().asked.clone()
    }
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mood = {
        let mut shared = endpoint.shared.lock().unwrap();
        shared.asked.push(body.clone());
        shared.mood
    };
    if headers["authorization"] != format!("Bearer {EMBEDDING_KEY}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match mood {
        Mood::Fails => (StatusCode::INTERNAL_SERVER_ERROR, EMBEDDING_KEY).into_response(),
        Mood::Rubbish => "<html>all is well</html>".into_response(),
        Mood::Hangs => std::future::pending().await,
        Mood::RefusesAll => StatusCode::BAD_REQUEST.into_response(),
        Mood::Picky if body["input"].to_string().contains(REFUSED_WORD) => {
            StatusCode::BAD_REQUEST.into_response()
        }
        Mood::Well | Mood::Picky => {
            let texts = body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
            let data = texts.enumerate().map(|(index, text)| {
                json!({ "object": "embedding", "index": index, "embedding": meaning(text) })
            });
            axum::Json(json!({ "data": data.collect::<Vec<_>>() })).into_response()
        }
    }
}

/// How often words of each row are in a text; what says none of them has a direction of its own.
fn meaning(text: &str) -> Vec<usize> {
    let text = text.to_lowercase();
    let count = |row: [&str; 3]| row.iter().map(|word| text.matches(word).count()).sum();
    let mut numbers: Vec<usize> = MEANINGS.into_iter().map(count).collect();
    numbers.push(usize::from(numbers.iter().all(|number| *number == 0)));
    numbers
}
