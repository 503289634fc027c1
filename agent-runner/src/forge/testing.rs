//! A server that gives prepared answers, for the tests of what is asked and what is made of it.

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::ApiClient;
use super::{PullRequestDraft, Readiness};
use crate::git::{CommitId, RepoUrl};
use crate::token::TokenSource;

pub(super) const SHA: &str = "1111111111111111111111111111111111111111";

/// One answer of the server: status, further headers, body.
pub(super) type Answer = (u16, &'static str, Value);

/// A server that gives these answers, one after another, and tells what it was asked.
pub(super) async fn server(answers: Vec<Answer>) -> (Url, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let serving = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, headers, body) in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let body = match body {
                Value::Null => String::new(),
                body => body.to_string(),
            };
            asked.push(exchange(stream, status, headers, &body).await);
        }
        asked
    });
    (url, serving)
}

/// A client of the API at `path` of the server.
pub(super) fn client(server: &Url, path: &str) -> ApiClient {
    let api = server.join(path).unwrap();
    let token = TokenSource::fixed("tok-123");
    let client = ApiClient::new(api, HeaderMap::new(), token, CancellationToken::new());
    client.unwrap().in_a_hurry()
}

/// The repository `path` of the server.
pub(super) fn repo(server: &Url, path: &str) -> RepoUrl {
    server.join(path).unwrap().as_str().parse().unwrap()
}

pub(super) fn draft() -> PullRequestDraft {
    PullRequestDraft {
        title: "Title".into(),
        body: "Body".into(),
        head: "ticket-1".parse().unwrap(),
        base: "develop".parse().unwrap(),
        readiness: Readiness::Ready,
        labels: Vec::new(),
        reviewers: Vec::new(),
    }
}

pub(super) fn pushed() -> CommitId {
    SHA.parse().unwrap()
}

/// Reads a request and answers it; the request line and the body.
async fn exchange(stream: TcpStream, status: u16, headers: &str, body: &str) -> String {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    assert!(head.iter().any(|line| line == "authorization: Bearer tok-123"), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut sent = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut sent).await.unwrap();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let line = head[0].trim_end_matches(" HTTP/1.1");
    format!("{line} {}", String::from_utf8(sent).unwrap()).trim_end().to_owned()
}
