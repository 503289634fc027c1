//! A raw TCP server: one scripted reply for each connection, byte for byte, then it closes.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A running server.
pub(crate) struct Server {
    port: u16,
    seen: mpsc::UnboundedReceiver<Received>,
    task: JoinHandle<()>,
}

/// A request as it came.
pub(crate) struct Received {
    /// Method, path and version.
    pub(crate) line: String,
    head: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Server {
    /// Answers the first connection with the first reply, and so on; an empty reply closes without
    /// a word.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let replies: Vec<Vec<u8>> = replies.into_iter().collect();
        let (sender, seen) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            for reply in replies {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = receive(&mut stream).await;
                sender.send(request).unwrap();
                // The client may have given up, which is its right.
                let _gone = stream.write_all(&reply).await;
                let _gone = stream.shutdown().await;
            }
        });
        Self { port, seen, task }
    }

    /// Base URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends the server: all requests that came.
    pub(crate) async fn requests(mut self) -> Vec<Received> {
        self.task.abort();
        if let Err(error) = self.task.await {
            assert!(error.is_cancelled(), "{error}");
        }
        let mut requests = Vec::new();
        while let Some(request) = self.seen.recv().await {
            requests.push(request);
        }
        requests
    }
}

impl Received {
    /// All values of a header; `name` in lower case.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let named = self.head.iter().filter(|(have, _)| have == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A reply as it stands.
pub(crate) fn raw(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// An error page of the original app.
pub(crate) fn html(status: &str) -> Vec<u8> {
    let body = format!("<!doctype html>\n<html lang=en>\n<title>{status}</title>\n");
    reply(status, "text/html; charset=utf-8", &body)
}

/// A JSON answer of the original app.
pub(crate) fn json_reply(status: &str, body: &Value) -> Vec<u8> {
    reply(status, "application/json", &format!("{body}\n"))
}

fn reply(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    raw(&format!(
        "HTTP/1.1 {status}\r\nServer: Werkzeug/3.0.1 Python/3.12\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

async fn receive(stream: &mut TcpStream) -> Received {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    let mut head = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).await.unwrap();
        let Some((name, value)) = header.split_once(':') else { break };
        head.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = head.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    Received { line: line.trim_end().to_owned(), head, body }
}
