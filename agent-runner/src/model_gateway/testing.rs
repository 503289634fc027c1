//! A provider whose every byte is written by the test, and callers of a gateway in front of it.

use std::time::Duration;

use api_client::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::wire::Wire;
use super::{Budget, ModelGateway, ModelGatewayConfig};

pub(super) const KEY: &str = "sk-the-real-key-of-the-provider";
pub(super) const PLACEHOLDER: &str = "agent-placeholder";

/// All protocols, with the path of a streamed answer and the header of their key.
pub(super) const WIRES: [(Wire, &str, &str); 4] = [
    (Wire::Chat, "/v1/chat/completions", "authorization"),
    (Wire::Responses, "/v1/responses", "authorization"),
    (Wire::Anthropic, "/v1/messages?beta=true", "x-api-key"),
    (Wire::Gemini, "/v1beta/models/m:streamGenerateContent?alt=sse", "x-goog-api-key"),
];

/// Where nothing takes long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// A provider that answers nothing by itself.
pub(super) struct Upstream {
    listener: TcpListener,
}

/// One request to it, not yet answered.
pub(super) struct Exchange {
    /// Request line and headers, in lower case.
    pub(super) head: String,
    pub(super) body: String,
    stream: TcpStream,
}

impl Upstream {
    pub(super) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.listener.local_addr().unwrap()).parse().unwrap()
    }

    /// The next request.
    pub(super) async fn next(&self) -> Exchange {
        let accepted = soon(self.listener.accept()).await;
        let (mut stream, _) = accepted.unwrap();
        let mut bytes = Vec::new();
        let (head, length, at) = loop {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some(at) = text.find("\r\n\r\n") else { continue };
            let head = text[..at].to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            break (head.clone(), length.map_or(0, |length| length.parse().unwrap()), at + 4);
        };
        while bytes.len() < at + length {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        Exchange { head, body: String::from_utf8(bytes[at..].to_vec()).unwrap(), stream }
    }
}

impl Exchange {
    /// A header of the request.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// The answer's status and type; its body ends with the connection.
    pub(super) async fn begin(&mut self, status: u16, more: &str) {
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{more}\r\n\r\n");
        self.send(&head).await;
    }

    pub(super) async fn begin_events(&mut self) {
        self.begin(200, "content-type: text/event-stream; charset=utf-8").await;
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// An event of server-sent events.
    pub(super) async fn event(&mut self, data: &Value) {
        self.send(&format!("data: {data}\n\n")).await;
    }

    /// The whole answer.
    pub(super) async fn answer(mut self, status: u16, body: &str) {
        self.begin(status, "content-type: application/json").await;
        self.send(body).await;
    }

    /// Waits until the other side has gone.
    pub(super) async fn left(mut self) {
        let mut byte = [0];
        let read = soon(self.stream.read(&mut byte)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

/// A gateway in front of `upstream`.
pub(super) async fn gateway(upstream: Url, budget: Budget) -> ModelGateway {
    let (key, placeholder) = (Secret::from(KEY), Secret::from(PLACEHOLDER));
    gateway_of(ModelGatewayConfig {
        upstream,
        key,
        fallback: None,
        models: None,
        placeholder,
        budget,
        network: Default::default(),
    })
    .await
}

pub(super) async fn gateway_of(config: ModelGatewayConfig) -> ModelGateway {
    let address = "127.0.0.1:0".parse().unwrap();
    ModelGateway::listen(address, config, CancellationToken::new()).await.unwrap()
}

pub(super) fn tokens(limit: u64) -> Budget {
    Budget { tokens: Some(limit), pricing: None, ..Budget::default() }
}

/// A request that shows the placeholder.
pub(super) fn ask(gateway: &ModelGateway, path: &str, header: &str) -> reqwest::RequestBuilder {
    ask_with(gateway, path, header, PLACEHOLDER)
}

pub(super) fn ask_with(
    gateway: &ModelGateway,
    path: &str,
    header: &str,
    key: &str,
) -> reqwest::RequestBuilder {
    let client = api_client::http::http_client("test").no_proxy().build().unwrap();
    let bearer = if header == "authorization" { "Bearer " } else { "" };
    client
        .post(format!("http://{}{path}", gateway.address()))
        .header(header, format!("{bearer}{key}"))
        .body(json!({"model": "m", "stream": true}).to_string())
}

/// An event in which a model writes `text`.
pub(super) fn delta(wire: Wire, text: &str) -> Value {
    match wire {
        Wire::Chat => json!({"model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}),
        Wire::Responses => json!({"type": "response.output_text.delta", "delta": text}),
        Wire::Anthropic => json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": text}}),
        Wire::Gemini => json!({"candidates": [{"content": {"parts": [{"text": text}]}}]}),
    }
}

/// An event that says how many tokens there were.
pub(super) fn usage(wire: Wire, input: u64, output: u64) -> Value {
    match wire {
        Wire::Chat => json!({"choices": [],
            "usage": {"prompt_tokens": input, "completion_tokens": output}}),
        Wire::Responses => json!({"type": "response.completed", "response": {
            "usage": {"input_tokens": input, "output_tokens": output}}}),
        Wire::Anthropic => json!({"type": "message_delta",
            "usage": {"input_tokens": input, "output_tokens": output}}),
        Wire::Gemini => json!({"usageMetadata":
            {"promptTokenCount": input, "candidatesTokenCount": output}}),
    }
}

/// The rest of an answer, as text.
pub(super) async fn rest(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Some(piece) = soon(answer.chunk()).await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).unwrap()
}

pub(super) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened")
}
