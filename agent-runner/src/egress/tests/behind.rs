//! The filter where the machine goes out through a proxy: what that is asked, and what is kept from it.

use super::*;

/// `me` and `p@ss`, as a proxy's URL has them.
const USER: &str = "me:p%40ss";
const BASIC: &str = "basic bwu6cebzcw==";
/// The end of a request after which the filter does not wait for another one.
const LAST: &str = "Connection: close\r\n\r\n";

#[tokio::test]
async fn a_tunnel_goes_through_the_proxy_by_name_and_with_its_password() {
    let established = b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\nhello";
    let (port, asked) = server(b"\r\n\r\n", established).await;
    let url = format!("http://{USER}@127.0.0.1:{port}");
    let filter = filter_behind(&url, "only-there.invalid", "").await;
    let answer = ask(
        &filter,
        "CONNECT only-there.invalid:443 HTTP/1.1\r\nHost: only-there.invalid:443\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("CONNECT only-there.invalid:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains(&format!("proxy-authorization: {BASIC}")), "{asked}");
    filter.shutdown().await;
}

#[tokio::test]
async fn a_plain_request_goes_to_the_proxy_with_its_whole_url_and_without_the_callers_password() {
    let (port, asked) = server(b"\r\n\r\n", OK).await;
    let filter = filter_behind(&format!("http://{USER}@127.0.0.1:{port}"), "a.invalid", "").await;
    let request = "GET http://a.invalid/x?y HTTP/1.1\r\nHost: a.invalid\r\n\
                   Proxy-Authorization: Basic b3RoZXI=\r\nConnection: close\r\n\r\n";
    let answer = ask(&filter, request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
    let asked = asked.await.unwrap().to_lowercase();
    assert!(asked.starts_with("get http://a.invalid:80/x?y http/1.1\r\n"), "{asked}");
    assert!(asked.contains(BASIC) && !asked.contains("b3rozxi="), "{asked}");
    filter.shutdown().await;
}

#[tokio::test]
async fn what_is_not_allowed_is_not_asked_of_the_proxy_and_exceptions_are_direct() {
    let (direct, served) = server(b"\r\n\r\n", OK).await;
    // Nobody listens at the proxy: to ask it would be an error of another kind.
    let filter = filter_behind("http://127.0.0.1:1", "", &format!("127.0.0.1:{direct}")).await;
    for target in ["evil.invalid:443", "127.0.0.1:443", "169.254.169.254:80"] {
        let answer = ask(&filter, &format!("CONNECT {target} HTTP/1.1\r\n{LAST}")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let request = format!("GET http://127.0.0.1:{direct}/ HTTP/1.1\r\nConnection: close\r\n\r\n");
    let answer = ask(&filter, &request).await;
    assert!(answer.ends_with("hi"), "{answer}");
    assert!(served.await.unwrap().starts_with("GET / HTTP/1.1"));
    filter.shutdown().await;
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_is_named_without_it() {
    for (said, part) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user name and password"),
        ("HTTP/1.0 503 x\r\n\r\n", "answers 503 Service Unavailable"),
        ("SSH-2.0-x y\r\n\r\n", "cannot be reached"),
    ] {
        let (port, _asked) = server(b"\r\n\r\n", said.as_bytes()).await;
        let filter =
            filter_behind(&format!("http://{USER}@127.0.0.1:{port}"), "a.invalid", "").await;
        let answer = ask(&filter, &format!("CONNECT a.invalid:443 HTTP/1.1\r\n{LAST}")).await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains(part), "{answer}");
        assert!(answer.contains(&format!("127.0.0.1:{port}")), "{answer}");
        assert!(!answer.contains("p%40ss") && !answer.contains("p@ss"), "{answer}");
        filter.shutdown().await;
    }
}

#[tokio::test]
async fn a_name_that_is_private_by_our_own_name_servers_is_kept_from_the_proxy() {
    let filter = filter_behind("http://127.0.0.1:1", "localhost:443", "").await;
    let answer = ask(&filter, &format!("CONNECT localhost:443 HTTP/1.1\r\n{LAST}")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("is not a public one"), "{answer}");
    filter.shutdown().await;
}
