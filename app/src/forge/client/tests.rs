use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap as Headers, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;

use super::*;

#[derive(Deserialize)]
struct Asked {
    page: Option<usize>,
}

/// Serves until the test ends; answers with its address.
async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn client(base: &Url) -> Client {
    Client::new(base.clone(), &Secret::from("token")).unwrap()
}

#[tokio::test]
async fn the_token_is_sent_to_no_other_origin() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let elsewhere = Router::new().fallback(async move || {
        count.fetch_add(1, Ordering::SeqCst);
        "[]"
    });
    let elsewhere = serve(elsewhere).await.to_string();
    let target = elsewhere.clone();
    let forge = serve(Router::new().fallback(async move || Redirect::temporary(&target))).await;
    let error = client(&forge).all::<u64>(forge.join("list").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("where the token is not sent"), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 0);

    let link = format!("<{elsewhere}list?page=2>; rel=\"next\"");
    let pages = async move |Query(asked): Query<Asked>| match asked.page {
        None => ([(header::LINK, link)], "[1]").into_response(),
        Some(_) => "[2]".into_response(),
    };
    let forge = serve(Router::new().fallback(get(pages))).await;
    let list = client(&forge).all::<u64>(forge.join("list").unwrap()).await.unwrap();
    assert_eq!(list, [1, 2], "the second page is the forge's too");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_pages_and_answers_have_an_end() {
    let again = async || Redirect::temporary("/list");
    let forge = serve(Router::new().fallback(again)).await;
    let error = client(&forge).all::<u64>(forge.join("list").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("redirects more than 3 times"), "{error}");

    let endless = async || ([(header::LINK, "</list?page=2>; rel=\"next\"")], "[1]");
    let forge = serve(Router::new().fallback(endless)).await;
    let error = client(&forge).all::<u64>(forge.join("list").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("more than 20 pages"), "{error}");

    let long = async || " ".repeat(ANSWER_MAX + 1);
    let forge = serve(Router::new().fallback(long)).await;
    let error = client(&forge).all::<u64>(forge.join("list").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn a_list_goes_on_until_it_has_as_many_entries_as_the_forge_counts() {
    for (count, expected) in [("5", 5), ("9", 6)] {
        let pages = async move |Query(asked): Query<Asked>| {
            let body = match asked.page.unwrap_or(1) {
                page @ 1..=3 => format!("[{}, {}]", page * 2 - 1, page * 2),
                _ => "[]".to_owned(),
            };
            ([("x-total-count", count)], body)
        };
        let forge = serve(Router::new().fallback(get(pages))).await;
        let list = client(&forge).all::<u64>(forge.join("list?limit=50").unwrap()).await.unwrap();
        assert!(list.len() >= expected, "{list:?}");
        assert_eq!(list[..expected], (1..=6).collect::<Vec<u64>>()[..expected]);
    }
}

#[tokio::test]
async fn a_full_page_that_has_not_changed_may_have_a_next_one_by_now() {
    let begun = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&begun);
    let pages = async move |Query(page): Query<Asked>, headers: Headers| {
        if page.page.is_some() {
            return "[101]".into_response();
        }
        let tag = [(ETAG, "\"same\"")];
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        let full = serde_json::to_string(&(1..=100).collect::<Vec<u64>>()).unwrap();
        let link = [(header::LINK, "</list?page=2>; rel=\"next\"")];
        match (first, headers.contains_key(IF_NONE_MATCH)) {
            (true, _) => (tag, full).into_response(),
            (false, true) => (StatusCode::NOT_MODIFIED, tag).into_response(),
            (false, false) => (tag, link, full).into_response(),
        }
    };
    let forge = serve(Router::new().fallback(get(pages))).await;
    let client = client(&forge);
    let list = async || client.all::<u64>(forge.join("list").unwrap()).await.unwrap().len();
    assert_eq!(list().await, 100);
    assert_eq!(list().await, 101);
    assert_eq!(list().await, 101, "also where the first page is answered by 304");
}

#[tokio::test]
async fn a_forge_that_nobody_can_connect_to_is_told_from_one_that_fails() {
    let failing = serve(Router::new().fallback(async || StatusCode::BAD_GATEWAY)).await;
    let error = client(&failing).all::<u64>(failing.clone()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unreachable { .. }), "{error}");
    let gone: Url = "http://127.0.0.1:1/".parse().unwrap();
    let error = client(&gone).all::<u64>(gone.clone()).await.unwrap_err();
    assert!(matches!(error, ForgeError::NoConnection { .. }), "{error}");
}
