//! A model that gives the answers of a test, in their order.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::{Assessment, Director, DirectorError, PlanVerdict};
use crate::model_gateway::{Account, Budget};
use crate::prompt::Prompts;
use crate::redaction::Redaction;
use crate::settings::{DirectorModel, DirectorProvider, DirectorSettings};

pub(super) const KEY: &str = "sk-the-directors-own-key";

/// One answer: status, further header lines, body.
pub(super) type Answer = (u16, &'static str, String);

/// An endpoint; the last answer is given for ever.
pub(super) struct Model {
    address: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    _task: AbortOnDropHandle<()>,
}

impl Model {
    pub(super) async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        let record = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().unwrap(),
                };
                let request = exchange(stream, answer).await;
                record.lock().unwrap().push(request);
            }
        });
        Self { address, asked, _task: AbortOnDropHandle::new(task) }
    }

    /// One that gives these answers, takes calls after that and never answers.
    pub(super) async fn silent_after(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                exchange(stream, answer).await;
            }
            let _open = listener;
            pending::<()>().await;
        });
        Self { address, asked: Arc::default(), _task: AbortOnDropHandle::new(task) }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// The bodies of the requests so far.
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.asked.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// Their heads, in lower case.
    pub(super) fn heads(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(head, _)| head.clone()).collect()
    }

    pub(super) fn settings(&self, provider: DirectorProvider) -> DirectorSettings {
        DirectorSettings {
            main: self.model(provider),
            fallbacks: Vec::new(),
            call_limit: std::time::Duration::from_secs(20),
            output: 4_096,
            context: 60_000,
            turns: 50,
            plan_reviews: 5,
            review_turns: 20,
        }
    }

    pub(super) fn model(&self, provider: DirectorProvider) -> DirectorModel {
        let (url, key) = (self.url("/v1"), Some(KEY.into()));
        DirectorModel { provider, url, key, model: "judge".to_owned() }
    }

    /// A Director by this model.
    pub(super) fn director(&self) -> Director {
        director(&self.settings(DirectorProvider::Custom), Budget::default())
    }
}

pub(super) fn director(settings: &DirectorSettings, budget: Budget) -> Director {
    let account = Account::alone(budget);
    let redaction = Redaction::default();
    redaction.register([&"a-secret-of-the-job".into()]);
    let mut director = Director::new(
        settings,
        "Add a greeting".to_owned(),
        account,
        redaction,
        Prompts::default(),
    )
    .unwrap();
    director.chain.in_a_hurry();
    director
}

pub(super) async fn assess(director: &mut Director) -> Result<Assessment, DirectorError> {
    director.assess("What now?".to_owned(), &CancellationToken::new()).await
}

pub(super) async fn review(director: &mut Director) -> Result<PlanVerdict, DirectorError> {
    director.review_plan("And this?".to_owned(), &CancellationToken::new()).await
}

/// An answer of chat completions with this text.
pub(super) fn said(text: &str) -> Answer {
    ended(&json!(text), "stop")
}

/// The same with any content and reason for its end.
pub(super) fn ended(content: &Value, finish: &str) -> Answer {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": content},
        "finish_reason": finish});
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10});
    (200, "", json!({ "choices": [choice], "usage": usage }).to_string())
}

async fn exchange(mut stream: TcpStream, (status, headers, body): Answer) -> (String, Value) {
    let mut bytes = Vec::new();
    let (head, at, length) = loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some(at) = text.find("\r\n\r\n") else { continue };
        let head = text[..at].to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        break (head, at + 4, length);
    };
    while bytes.len() < at + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    let answer = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head, serde_json::from_slice(&bytes[at..]).unwrap_or_default())
}
