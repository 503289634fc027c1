use hyper::Method;
use serde_json::json;

use super::*;

fn chat() -> Route {
    Route::of("", &Method::POST, "/v1/chat/completions").unwrap()
}

fn body(text: &str) -> Outgoing {
    outgoing(&chat(), Bytes::from(text.to_owned())).unwrap()
}

#[test]
fn a_request_for_usage_leaves_the_rest_as_it_is() {
    let text = r#" {"stream": true, "z": 1, "a": {"b": [2]}}"#;
    let sent = body(text);
    let expected = format!(" {{{STREAM_OPTIONS},{}", text.trim_start().strip_prefix('{').unwrap());
    assert_eq!(sent.body, expected);
    assert!(sent.added_usage);
    assert!(serde_json::from_slice::<Value>(&sent.body).unwrap().is_object());
}

#[test]
fn options_that_are_there_are_kept() {
    let sent = body(r#"{"stream":true,"stream_options":{"x":1,"include_usage":false}}"#);
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(sent["stream_options"], json!({"x": 1, "include_usage": true}));
    let sent = body(r#"{"stream":true,"stream_options":null}"#);
    assert!(sent.body.ends_with(b"}}"), "{:?}", sent.body);
}

#[test]
fn what_is_no_chat_stream_or_asks_itself_is_not_touched() {
    for text in [
        r#"{"stream":false}"#,
        r#"{"model":"m"}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
    ] {
        let sent = body(text);
        assert_eq!((sent.body, sent.added_usage), (Bytes::from(text), false));
    }
    let responses = Route::of("", &Method::POST, "/v1/responses").unwrap();
    let sent = outgoing(&responses, Bytes::from_static(br#"{"stream":true}"#)).unwrap();
    assert!(!sent.added_usage);
}

#[test]
fn a_key_that_no_header_can_hold_is_found_at_once() {
    assert!(Key::new(&Secret::from("sk-1\nx")).is_none());
    assert!(Key::new(&Secret::from("sk-1")).is_some());
    assert!(!format!("{:?}", Key::new(&Secret::from("sk-secret"))).contains("secret"));
}

#[test]
fn a_query_is_the_same_unless_there_is_a_key_in_it() {
    let sent = |query: &str| {
        let uri = format!("/v1/messages{query}");
        let (head, ()) = hyper::Request::builder().uri(uri).body(()).unwrap().into_parts();
        url(&"https://host/v1?x=1".parse().unwrap(), &head).to_string()
    };
    for query in ["", "?beta=true", "?a=%20b&c", "?monkey=1"] {
        assert_eq!(sent(query), format!("https://host/v1/messages{query}"));
    }
    assert_eq!(sent("?a=1&key=k&b=2&key=l"), "https://host/v1/messages?a=1&b=2");
    assert!(!sent("?key=secret").contains("secret"));
}
