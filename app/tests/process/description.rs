//! The client of the worker API and the server, held against the description that the server publishes
//! (`docs/worker-api.openapi.json`): every request of the client, and every answer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_client::wire::{
    Checkpoint, FollowUp, HeldBy, Hook, JobFailure, JobPause, JobUsage, LogEntry, TicketCompletion,
};
use api_client::{ApiError, Claim, ClaimId, ProjectId, Secret, TicketId, UtcTime, WorkerApi};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::Response;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::description::{check_answer, check_request, operation, operations};
use crate::harness::{App, KEY, ticket_path};

/// Calls of the worker API that no client of ours makes.
const NOT_OURS: [&str; 3] = ["listLogs", "cancelTicket", "changeSettings"];

/// Stands between client and server, and holds both against the description.
#[derive(Clone)]
struct Witness {
    server: String,
    http: reqwest::Client,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Witness {
    /// The client that talks to `app` by way of this.
    async fn before(app: &App) -> (Self, WorkerApi) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let witness =
            Self { server: app.url.clone(), http: app.http.clone(), seen: Arc::default() };
        let router = Router::new().fallback(pass_on).with_state(witness.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let api = WorkerApi::new(&url.parse().unwrap(), Some(Secret::from(KEY)), "test/1");
        (witness, api.unwrap())
    }
}

/// A violation ends the connection without an answer: the client's call fails, and with it the test.
async fn pass_on(State(witness): State<Witness>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let body = to_bytes(body, 1 << 20).await.unwrap();
    check_request(&method, &path, &json_of(&body));
    let id = operation(&method, &path).unwrap()["operationId"].as_str().unwrap().to_owned();
    witness.seen.lock().unwrap().insert(id);
    let forward = witness.http.request(head.method, format!("{}{path}", witness.server));
    let kept = [AUTHORIZATION, CONTENT_TYPE];
    let forward = kept
        .into_iter()
        .filter_map(|name| Some((head.headers.get(&name)?.clone(), name)))
        .fold(forward, |request, (value, name)| request.header(name, value));
    let answer = forward.body(body).send().await.unwrap();
    let status = answer.status();
    let bytes = answer.bytes().await.unwrap();
    check_answer(&method, &path, status.as_u16(), &json_of(&bytes));
    Response::builder().status(status).body(Body::from(bytes)).unwrap()
}

fn json_of(body: &[u8]) -> Value {
    if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() }
}

/// Every call that coordinator and agent make, for one job that is done and one that fails.
async fn work(app: &App, api: &WorkerApi, claim: Option<ClaimId>) {
    let held_by = HeldBy { claim_id: claim };
    let project = app.waiting(1).await;
    api.settings().await.unwrap();
    api.queue().await.unwrap();
    let Claim::Job(job) = api.claim(Some(project), claim).await.unwrap() else { panic!("no job") };
    let (id, ticket) = (job.job_id, job.ticket_id);
    if let (Some(claim), Some(_)) = (claim, job.lease) {
        api.renew_lease(id, claim).await.unwrap();
    }
    assert!(!api.cancel_requested(project, ticket).await.unwrap());
    api.worker_context(project, ticket).await.unwrap();
    let entry = LogEntry {
        session_id: "s-1".to_owned(),
        step: "clone".to_owned(),
        summary: "cloned\0".to_owned(),
        raw_output: Some("output".to_owned()),
    };
    api.post_log(project, ticket, &entry).await.unwrap();
    api.post_log(project, ticket, &LogEntry { raw_output: None, ..entry }).await.unwrap();
    tell_and_propose(app, api, project, ticket).await;
    let completion = TicketCompletion {
        summary: "done".to_owned(),
        pr_url: Some("https://github.com/acme/demo/pull/7".to_owned()),
        pr_number: Some(7),
        review_comment_body: Some("see the last commit".to_owned()),
    };
    api.complete_ticket(project, ticket, &completion).await.unwrap();
    api.complete_job(id, held_by).await.unwrap();
    api.complete_job(id, held_by).await.unwrap_err();

    if let (Some(_), Some(_)) = (claim, job.lease) {
        park(app, api).await;
    }
    app.waiting(1).await;
    let claim = claim.map(|_| ClaimId::random());
    let Claim::Job(job) = api.claim(None, claim).await.unwrap() else { panic!("no job") };
    let failure = JobFailure {
        reason: "no\0".to_owned(),
        cause: Some("deadline".to_owned()),
        claim_id: claim,
        usage: Some(JobUsage { input: 9, ..JobUsage::default() }),
    };
    api.fail_job(job.job_id, &failure).await.unwrap();
    match api.retry_job(job.job_id).await {
        Ok(_) => {
            let Claim::Job(again) = api.claim(None, None).await.unwrap() else { panic!("no job") };
            api.complete_job(again.job_id, HeldBy::default()).await.unwrap();
        }
        // The original has no such call.
        Err(ApiError::Gone { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    assert!(matches!(api.claim(None, None).await.unwrap(), Claim::Empty));
    api.index_memory(project, &["a passage".to_owned()]).await.unwrap();
    api.retrieve_memory(project, &["passage".to_owned()], 3).await.unwrap();
}

/// A job that is parked, and a queue with it.
async fn park(app: &App, api: &WorkerApi) {
    app.waiting(1).await;
    let claim = ClaimId::random();
    let Claim::Job(job) = api.claim(None, Some(claim)).await.unwrap() else { panic!("no job") };
    let usage = JobUsage { input: 5, cached: 1, output: 2, money_usd: Some(0.5) };
    let until = UtcTime::after(Duration::from_secs(3_600));
    let pause =
        JobPause { claim_id: claim, until, reason: "full\0".to_owned(), usage: Some(usage) };
    api.park_job(job.job_id, &pause).await.unwrap();
    api.queue().await.unwrap();
    api.cancel_requested(job.project_id, job.ticket_id).await.unwrap();
}

/// What an app with our additions takes, and the original answers with 404.
async fn tell_and_propose(app: &App, api: &WorkerApi, project: ProjectId, ticket: TicketId) {
    let context = api.worker_context(project, ticket).await.unwrap();
    let turn =
        Checkpoint { hook: Hook::Turn, turn: Some(0), note: "finished\0".to_owned(), tokens: 17 };
    let start = Checkpoint { hook: Hook::Start, turn: None, ..turn.clone() };
    let told = api.post_checkpoints(project, ticket, "s-1", &[start, turn]).await;
    let proposal = FollowUp { title: "Rotate keys".to_owned(), text: "Never\0 done.".to_owned() };
    let proposed = api.propose(project, ticket, "s-1", &[proposal]).await;
    if context.offers.is_empty() {
        assert!(matches!(told, Err(ApiError::Gone { .. })), "{told:?}");
        assert!(matches!(proposed, Err(ApiError::Gone { .. })), "{proposed:?}");
        return;
    }
    told.unwrap();
    assert_eq!(proposed.unwrap().created.len(), 1);
    let listed = app.get(&ticket_path(project, ticket, "/checkpoints")).await;
    assert_eq!((&listed[1]["hook"], &listed[1]["tokens"]), (&json!("on_turn"), &json!(17)));
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn every_request_of_the_client_and_every_answer_to_it_is_as_described() {
    let app = App::start();
    let (witness, api) = Witness::before(&app).await;
    work(&app, &api, None).await;
    work(&app, &api, Some(ClaimId::random())).await;
    let seen = witness.seen.lock().unwrap().clone();
    let described = operations().filter(|(_, tag)| *tag == "worker").map(|(id, _)| id.to_owned());
    let expected: BTreeSet<_> = described.filter(|id| !NOT_OURS.contains(&id.as_str())).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_answers_of_an_app_without_our_additions_are_as_described() {
    let app = App::start_with(&["--original"]);
    let (_, api) = Witness::before(&app).await;
    work(&app, &api, Some(ClaimId::random())).await;
}

#[tokio::test]
async fn the_server_publishes_the_description() {
    let app = App::start();
    let published = app.get("/api/openapi.json").await;
    let ours = include_str!("../../../docs/worker-api.openapi.json");
    assert_eq!(published, serde_json::from_str::<Value>(ours).unwrap());
    let request = app.http.get(format!("{}/api/openapi.json", app.url)).bearer_auth(KEY);
    assert_eq!(request.send().await.unwrap().headers()["content-type"], "application/json");
}

#[tokio::test]
#[should_panic(expected = "is not described")]
async fn a_field_that_is_not_described_is_found() {
    let body = json!({ "claim": "x" });
    check_request(Method::POST.as_str(), "/api/worker/jobs/start", &body);
}
