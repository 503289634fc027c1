//! HTTP as far as the servers of a run speak it: one request on each connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

pub(crate) fn respond(stream: &mut BufReader<TcpStream>, status: u16, body: &str) {
    let retry = if status == 429 { "retry-after: 1\r\n" } else { "" };
    // A run that was cancelled does not wait for it.
    let _gone = write!(
        stream.get_mut(),
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
         {retry}content-length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// The request line, the authorization and the body.
pub(crate) fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, String, Value)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let authorization = head.iter().find_map(|line| line.strip_prefix("authorization: "));
    let authorization = authorization.unwrap_or_default().to_owned();
    let line = head.first()?;
    let (method, rest) = line.split_once(' ')?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some((format!("{} {rest}", method.to_ascii_uppercase()), authorization, body))
}
