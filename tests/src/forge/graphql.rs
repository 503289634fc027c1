//! What GitHub's REST API cannot: the two mutations of its GraphQL API that change the draft state of a pull
//! request, and the query which threads are resolved. As there, an error is an answer with status 200.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::auth::{Credentials, judge_api};
use super::pulls::PullChange;
use super::{Forge, RepoName, conversation};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    query: String,
    variables: Variables,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Variables {
    Pull(OfPull),
    Threads(OfThreads),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPull {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfThreads {
    owner: String,
    name: String,
    number: u64,
    /// Where the list goes on; it is never that long here.
    #[serde(rename = "after")]
    _after: Option<String>,
}

/// The name of a pull request in this API.
pub(super) fn node_id(repo: &RepoName, number: u64) -> String {
    format!("PR_{repo}#{number}")
}

/// `POST /api/graphql`.
pub(super) async fn serve(
    State(forge): State<Arc<Forge>>,
    headers: HeaderMap,
    Json(query): Json<Query>,
) -> Response {
    match judge_api(&headers, |token| forge.accepts(token, None)) {
        Credentials::Accepted => Json(answer(&forge, &query)).into_response(),
        Credentials::Missing | Credentials::Wrong => ApiError::BadCredentials.into_response(),
    }
}

fn answer(forge: &Forge, query: &Query) -> Value {
    let mutations = [("convertPullRequestToDraft", true), ("markPullRequestReadyForReview", false)];
    let asked = mutations.into_iter().find(|(name, _)| {
        let call = format!("{name}(input: {{pullRequestId: $id}})");
        query.query.starts_with("mutation($id: ID!)") && query.query.contains(&call)
    });
    let (name, draft, id) = match (asked, &query.variables) {
        (Some((name, draft)), Variables::Pull(OfPull { id })) => (name, draft, id),
        (None, Variables::Threads(of)) if query.query.contains("reviewThreads(first: 100") => {
            return threads(forge, of);
        }
        _ => return error("undefinedField", "no such mutation or query"),
    };
    let pull = id.strip_prefix("PR_").and_then(|id| id.rsplit_once('#'));
    let pull = pull.and_then(|(repo, number)| {
        Some((repo.parse::<RepoName>().ok()?, number.parse::<u64>().ok()?))
    });
    let change = PullChange { draft: Some(draft), ..PullChange::default() };
    match pull.and_then(|(repo, number)| forge.pulls.update(&repo, number, change).ok()) {
        Some(pull) => json!({"data": {name: {"pullRequest": {"isDraft": pull.draft}}}}),
        None => error("NOT_FOUND", "Could not resolve to a node with the global id"),
    }
}

/// Which threads are resolved, each by its first comment.
fn threads(forge: &Forge, OfThreads { owner, name, number, .. }: &OfThreads) -> Value {
    let Ok(repo) = RepoName::new(owner, name) else {
        return error("NOT_FOUND", "Could not resolve to a Repository");
    };
    let node = |(id, resolved): (u64, bool)| json!({"isResolved": resolved, "comments": {"nodes": [{"id": id.to_string()}]}});
    let threads = conversation::github::threads(&forge.talk, &repo, *number).into_iter();
    let nodes: Vec<Value> = threads.map(node).collect();
    let info = json!({"hasNextPage": false, "endCursor": null});
    let threads = json!({"nodes": nodes, "pageInfo": info});
    json!({"data": {"repository": {"pullRequest": {"reviewThreads": threads}}}})
}

fn error(kind: &str, message: &str) -> Value {
    json!({"data": null, "errors": [{"type": kind, "message": message}]})
}
