//! The memory of projects over HTTP: by words, by meaning, listed, deleted, and its limits.

use api_client::ProjectId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::embedding::{EMBEDDING_KEY, Endpoint, Mood, REFUSED_WORD};
use crate::harness::{App, KEY};

const DOCS: [&str; 3] = [
    "Authentication has its credentials in the vault.",
    "The kanban view shows four columns.",
    "The report of the week is sent by mail.",
];

async fn keep(app: &App, project: ProjectId, docs: &[&str]) {
    let docs: Vec<String> = docs.iter().map(|text| (*text).to_owned()).collect();
    app.worker_api().index_memory(project, &docs).await.unwrap();
}

async fn ask(app: &App, project: ProjectId, question: &str) -> Vec<String> {
    let found = app.worker_api().retrieve_memory(project, &[question.to_owned()], 5).await;
    found.unwrap().remove(0).docs
}

async fn refusal(app: &App, path: &str, body: Value) -> String {
    let (status, value) = app.call(Method::POST, path, Some(body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{value}");
    value["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_remembered_can_be_listed_and_deleted() {
    let app = App::start();
    let (project, other) = (app.add_project().await, app.add_project().await);
    keep(&app, project, &DOCS).await;
    keep(&app, project, &DOCS).await;
    let path = format!("/api/projects/{project}/memory");
    let listed = app.get(&path).await;
    let newest: Vec<_> = DOCS.iter().rev().map(|text| json!(text)).collect();
    let contents = listed.as_array().unwrap().iter().map(|memory| memory["content"].clone());
    assert_eq!(contents.collect::<Vec<_>>(), newest, "each once, newest first");
    let part = app.get(&format!("{path}?limit=1&offset=1")).await;
    assert_eq!(part, json!([listed[1]]));

    let id = listed[2]["id"].as_str().unwrap();
    let foreign = format!("/api/projects/{other}/memory/{id}");
    let (status, value) = app.call(Method::DELETE, &foreign, None).await;
    assert_eq!((status.as_u16(), value), (404, json!({"error": "Memory not found"})));
    let (status, _) = app.call(Method::DELETE, &format!("{path}/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(ask(&app, project, "credentials").await.is_empty());
    assert_eq!(ask(&app, project, "report").await, [DOCS[2]]);
    let (status, _) = app.call(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(app.get(&path).await, json!([]));
    let nobody = format!("/api/projects/{}/memory", ProjectId::random());
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(app.call(method, &nobody, None).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_by_the_name_of_its_field() {
    let app = App::start();
    let project = app.add_project().await;
    let index = format!("/api/projects/{project}/memory/index");
    let docs = |docs: Value| json!({ "docs": docs });
    for (body, words) in [
        (json!({}), "docs (list of strings) is required"),
        (docs(json!("one")), "docs (list of strings) is required"),
        (docs(json!(["one", null])), "docs (list of strings) is required"),
        (docs(json!(["one", " \n"])), "docs[1] must not be blank"),
        (docs(json!(["é".repeat(250_001)])), "docs[0] must be at most 250000 characters"),
        (docs(json!(vec!["x"; 101])), "docs must be at most 100"),
    ] {
        assert_eq!(refusal(&app, &index, body).await, words);
    }
    assert_eq!(app.get(&format!("/api/projects/{project}/memory")).await, json!([]));
    let retrieve = format!("/api/projects/{project}/memory/retrieve");
    let queries =
        |queries: Value, limit: Value| json!({"queries": queries, "num_to_retrieve": limit});
    for (body, words) in [
        (json!({}), "queries (list of strings) is required"),
        (queries(json!(vec!["x"; 21]), Value::Null), "queries must be at most 20"),
        (queries(json!(["x"]), json!(51)), "num_to_retrieve must be a whole number up to 50"),
        (queries(json!(["x"]), json!("5")), "num_to_retrieve must be a whole number up to 50"),
    ] {
        assert_eq!(refusal(&app, &retrieve, body).await, words);
    }
    let list = format!("/api/projects/{project}/memory?before=1");
    let (status, value) = app.call(Method::GET, &list, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(value["error"].as_str().unwrap().contains("before"), "{value}");
}

#[tokio::test]
async fn with_an_endpoint_a_question_in_other_words_finds_its_passage() {
    let endpoint = Endpoint::start().await;
    let app = App::start_in(&[], endpoint.environment());
    let project = app.add_project().await;
    keep(&app, project, &DOCS).await;
    assert_eq!(ask(&app, project, "How does login work?").await[0], DOCS[0]);
    // What both rankings have comes before what one of them has.
    let found = ask(&app, project, "login to the kanban").await;
    assert_eq!(found[0], DOCS[1]);
    assert!(found.contains(&DOCS[0].to_owned()), "{found:?}");
    let other = app.add_project().await;
    assert!(ask(&app, other, "login").await.is_empty());
    for body in endpoint.asked() {
        assert_eq!(body["model"], "m-1");
        assert!(body["input"].as_array().unwrap().len() <= 32);
    }
    let (log, database) = app.stop();
    assert!(!log.contains(EMBEDDING_KEY) && !log.contains(KEY));
    assert!(!String::from_utf8_lossy(&database).contains(EMBEDDING_KEY));
}

#[tokio::test]
async fn without_an_endpoint_that_passage_is_not_found() {
    let app = App::start();
    let project = app.add_project().await;
    keep(&app, project, &DOCS).await;
    assert!(ask(&app, project, "How does login work?").await.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_fails_leaves_the_search_by_words_and_is_told_of_once() {
    for mood in [Mood::Fails, Mood::Rubbish] {
        let endpoint = Endpoint::start().await;
        endpoint.set(mood);
        let app = App::start_in(&[], endpoint.environment());
        let project = app.add_project().await;
        for doc in DOCS {
            keep(&app, project, &[doc]).await;
            assert_eq!(ask(&app, project, doc).await[0], doc, "{mood:?}");
        }
        assert_eq!(endpoint.asked().len(), 1, "it is left alone for a while");
        let (log, _) = app.stop();
        assert_eq!(log.matches("by words alone").count(), 1, "{log}");
        assert!(!log.contains(EMBEDDING_KEY), "an answer is not repeated");
    }
}

#[tokio::test]
async fn a_text_that_the_endpoint_refuses_is_found_by_its_words_and_the_others_by_their_meaning() {
    let endpoint = Endpoint::start().await;
    endpoint.set(Mood::Picky);
    let app = App::start_in(&[], endpoint.environment());
    let project = app.add_project().await;
    let refused = format!("An {REFUSED_WORD} thing.");
    let reports: Vec<String> = (0..20).map(|number| format!("Report {number}.")).collect();
    let mut passages: Vec<&str> = reports.iter().map(String::as_str).collect();
    passages.extend(DOCS);
    passages.insert(10, &refused);
    keep(&app, project, &passages).await;
    assert_eq!(ask(&app, project, "How does login work?").await[0], DOCS[0]);
    assert_eq!(ask(&app, project, REFUSED_WORD).await[0], refused);
    let asked = endpoint.asked().len();
    keep(&app, project, &["One more."]).await;
    assert_eq!(endpoint.asked().len(), asked + 1, "it is not asked for that text again");
    let (log, _) = app.stop();
    assert!(!log.contains("by words alone"), "{log}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_every_text_sets_none_aside() {
    let endpoint = Endpoint::start().await;
    endpoint.set(Mood::RefusesAll);
    let mut app = App::start_in(&[], endpoint.environment());
    let project = app.add_project().await;
    keep(&app, project, &DOCS).await;
    assert_eq!(ask(&app, project, "kanban").await, [DOCS[1]]);
    endpoint.set(Mood::Well);
    // A new server has not seen it refuse.
    app.kill_and_restart();
    keep(&app, project, &["One more."]).await;
    assert_eq!(ask(&app, project, "login").await[0], DOCS[0]);
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_a_request_for_long() {
    let endpoint = Endpoint::start().await;
    endpoint.set(Mood::Hangs);
    let app = App::start_in(&[], endpoint.environment());
    let project = app.add_project().await;
    // The client's own limit is 60 s.
    keep(&app, project, &DOCS).await;
    assert_eq!(ask(&app, project, "kanban").await, [DOCS[1]]);
    assert_eq!(endpoint.asked().len(), 1);
}

#[tokio::test]
async fn what_was_kept_while_the_endpoint_was_away_is_read_later() {
    let endpoint = Endpoint::start().await;
    endpoint.set(Mood::Fails);
    let mut app = App::start_in(&[], endpoint.environment());
    let project = app.add_project().await;
    let many: Vec<String> = (0..70).map(|number| format!("Report {number} by mail.")).collect();
    app.worker_api().index_memory(project, &many).await.unwrap();
    keep(&app, project, &DOCS[..1]).await;
    endpoint.set(Mood::Well);
    // A new server has not seen it fail.
    app.kill_and_restart();
    keep(&app, project, &DOCS[1..2]).await;
    assert_eq!(ask(&app, project, "login").await[0], DOCS[0]);
}
