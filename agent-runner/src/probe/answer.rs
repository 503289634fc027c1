//! Whether an answer is that of the server that was asked, or of something in between.

use api_client::http::describe;
use reqwest::{Response, StatusCode};

/// How our own gateway begins what it says in the place of a server.
const OF_GATEWAY: &str = "agent-runner gateway: ";

/// Headers by which proxies mark what they say themselves.
const OF_PROXIES: [&str; 2] = ["x-squid-error", "proxy-status"];

/// As much of an answer is read, in bytes.
const READ_MAX: usize = 4 << 10;

/// Takes an answer of any kind for one, unless something in between gave it.
///
/// # Errors
/// What was in between, in words.
pub(super) async fn judge(mut response: Response) -> Result<(), String> {
    let status = response.status();
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err("the proxy wants http://user:password@host:port (407)".to_owned());
    }
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(());
    }
    if OF_PROXIES.iter().any(|name| response.headers().contains_key(*name)) {
        return Err(format!("a proxy answers in its place: {status}"));
    }
    let mut said = Vec::new();
    while said.len() < READ_MAX
        && let Some(piece) = response.chunk().await.map_err(describe)?
    {
        said.extend_from_slice(&piece);
    }
    let said = String::from_utf8_lossy(&said);
    if let Some(refusal) = said.strip_prefix(OF_GATEWAY) {
        return Err(format!("the gateway beside the container refuses: {}", refusal.trim()));
    }
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Err(format!("{status}, of a proxy in between or of what is behind it"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn judged(status: u16, header: &str, body: &'static str) -> bool {
        let mut response = hyper::Response::builder().status(status);
        if !header.is_empty() {
            response = response.header(header, "1");
        }
        judge(response.body(body).unwrap().into()).await.is_ok()
    }

    #[tokio::test]
    async fn what_something_in_between_says_is_no_answer() {
        for status in [200, 301, 401, 403, 404, 500] {
            assert!(judged(status, "", "a page").await, "{status}");
        }
        for status in [407, 502, 503, 504] {
            assert!(!judged(status, "", "").await, "{status}");
        }
        assert!(!judged(403, "x-squid-error", "").await);
        assert!(!judged(403, "", "agent-runner gateway: git.example:80: not listed\n").await);
    }
}
