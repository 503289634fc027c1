use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::*;
use crate::model::{Column, DayBudget, Execution, Priority};
use crate::store::{Delivery, NewProject, NewTicket};

struct Scene {
    poller: Poller,
    store: Store,
    requests: Arc<AtomicUsize>,
    url: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A forge where all pull requests are merged, but for what `answer` says; the requests are counted.
    async fn new(answer: fn(u64) -> Option<Response>) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let pull = async move |Path((_, number)): Path<(String, u64)>| {
            count.fetch_add(1, Ordering::SeqCst);
            let merged = json!({"state": "closed", "merged": true, "head": {"sha": "c1"}});
            answer(number).unwrap_or_else(|| axum::Json(merged).into_response())
        };
        let router = Router::new().route("/api/v3/repos/acme/{name}/pulls/{number}", get(pull));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("app.db")).unwrap();
        let poller = Poller::new(store.clone(), ReviewTerms::default());
        let settings = [("FORGE", "github"), ("github_agent_token", "token")];
        let settings = settings.map(|(name, value)| (name, Some(Secret::from(value)))).to_vec();
        store.change_settings(settings, Timestamp::now()).await.unwrap();
        Self { poller, store, requests, url, _folder: folder }
    }

    async fn project(&self, name: &str) -> ProjectId {
        let project = NewProject {
            name: name.to_owned(),
            description: String::new(),
            repo_url: Some(format!("{}/acme/{name}", self.url)),
            execution: Execution::Docker,
            budget: DayBudget::default(),
        };
        self.store.create_project(project, Timestamp::now()).await.unwrap().id
    }

    /// In review with this pull request.
    async fn ticket(&self, project: ProjectId, number: u64) -> TicketId {
        let new = NewTicket {
            title: "t".to_owned(),
            description: String::new(),
            priority: Priority::Low,
            column: Column::Backlog,
        };
        let now = Timestamp::now();
        let ticket = self.store.create_ticket(project, new, now).await.unwrap().unwrap().id;
        let pr_url = Some(format!("{}/pull/{number}", self.url));
        let delivery = Delivery { summary: None, pr_url, pr_number: Some(number) };
        assert!(self.store.deliver(project, ticket, delivery, now).await.unwrap());
        ticket
    }

    async fn is_done(&self, ticket: TicketId) -> bool {
        self.store.ticket(ticket).await.unwrap().unwrap().column_id == Column::Done
    }

    /// Goes on until there is nothing to do for a while.
    async fn go(&mut self) -> Duration {
        loop {
            let sleep = self.poller.step().await.unwrap();
            if !sleep.is_zero() {
                return sleep;
            }
        }
    }
}

#[tokio::test]
async fn one_pull_request_on_which_the_forge_fails_holds_up_no_other() {
    let failing = |number| (number == 1).then(|| StatusCode::BAD_GATEWAY.into_response());
    let mut scene = Scene::new(failing).await;
    let project = scene.project("shop").await;
    let (broken, whole) = (scene.ticket(project, 1).await, scene.ticket(project, 2).await);
    scene.go().await;
    assert!(scene.is_done(whole).await && !scene.is_done(broken).await);
    assert_eq!(scene.requests.load(Ordering::SeqCst), 2, "and is asked again later");
}

#[tokio::test]
async fn a_limit_is_one_of_all_projects_and_grows_while_it_goes_on() {
    let limited =
        |_| Some((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "50")]).into_response());
    let mut scene = Scene::new(limited).await;
    for name in ["shop", "web"] {
        let project = scene.project(name).await;
        scene.ticket(project, 1).await;
    }
    let sleep = scene.go().await;
    assert_eq!(scene.requests.load(Ordering::SeqCst), 1, "the other project is not asked for");
    assert!((40..=50).contains(&sleep.as_secs()), "{sleep:?}");
    let limit = LookError::Forge(ForgeError::RateLimited {
        place: String::new(),
        pause: Duration::from_secs(50),
    });
    scene.poller.pause("o", &limit);
    scene.poller.pause("o", &limit);
    let pause = scene.poller.pauses["o"].until - Instant::now();
    assert!((90..=100).contains(&pause.as_secs()), "{pause:?}");
}

#[tokio::test]
async fn a_database_that_fails_is_left_alone_for_a_while() {
    let mut scene = Scene::new(|_| None).await;
    let error = || Err(StoreError::Query(rusqlite::Error::QueryReturnedNoRows));
    for _ in 0..2 {
        assert_eq!(scene.poller.rest(error()), Duration::from_secs(60));
    }
    assert_eq!(scene.poller.rest(Ok(Duration::ZERO)), Duration::ZERO);
}
