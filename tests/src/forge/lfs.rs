//! Files in Git LFS: the batch API and a storage behind the same token, as small forges have them.
//!
//! Invariant: what is stored is what its name says, and only complete objects are.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Credentials, judge_git};
use super::smart_http::challenge;
use super::{Forge, RepoName};

/// The largest object that a test may use, in bytes.
const OBJECT_MAX: usize = 256 << 20;
/// The largest other request, in bytes.
const REQUEST_MAX: usize = 1 << 20;

/// What is asked for.
pub(super) enum Endpoint {
    /// Where objects go to or come from.
    Batch,
    /// One object.
    Object(String),
    /// Whether an object has come.
    Verify,
}

#[derive(Deserialize)]
struct Batch {
    operation: Operation,
    objects: Vec<Object>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Upload,
    Download,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    size: u64,
}

/// `/owner/name.git/info/lfs/…`, taken apart.
pub(super) fn target(path: &str) -> Option<(RepoName, Endpoint)> {
    let (repo, rest) = path.strip_prefix('/')?.split_once(".git/info/lfs/")?;
    let endpoint = match rest {
        "objects/batch" => Endpoint::Batch,
        "verify" => Endpoint::Verify,
        rest => Endpoint::Object(rest.strip_prefix("objects/").filter(|id| is_id(id))?.to_owned()),
    };
    Some((repo.parse().ok()?, endpoint))
}

/// Answers, to those who have the token.
pub(super) async fn serve(
    forge: &Arc<Forge>,
    repo: &RepoName,
    endpoint: Endpoint,
    request: Request,
) -> Response {
    match judge_git(request.headers(), |token| forge.accepts(token, Some(repo))) {
        Credentials::Accepted => {}
        Credentials::Missing | Credentials::Wrong => {
            return challenge("Authentication required.\n");
        }
    }
    if forge.repos.find(repo).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (method, body) = (request.method().clone(), request.into_body());
    match (method, endpoint) {
        (Method::POST, Endpoint::Batch) => batch(forge, repo, body).await,
        (Method::POST, Endpoint::Verify) => verify(forge, repo, body).await,
        (Method::PUT, Endpoint::Object(id)) => put(forge, repo, &id, body).await,
        (Method::GET, Endpoint::Object(id)) => {
            match tokio::fs::read(place(forge, repo, &id)).await {
                Ok(content) => content.into_response(),
                Err(_) => StatusCode::NOT_FOUND.into_response(),
            }
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn batch(forge: &Forge, repo: &RepoName, body: Body) -> Response {
    let Some(batch) = read::<Batch>(body).await else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let objects: Vec<Value> =
        batch.objects.iter().map(|object| answer(forge, repo, batch.operation, object)).collect();
    let answer = json!({"transfer": "basic", "objects": objects});
    ([("content-type", "application/vnd.git-lfs+json")], answer.to_string()).into_response()
}

fn answer(forge: &Forge, repo: &RepoName, operation: Operation, object: &Object) -> Value {
    let (oid, size) = (&object.oid, object.size);
    let there = is_id(oid) && place(forge, repo, oid).is_file();
    let base = format!("{}{repo}.git/info/lfs", forge.external_url);
    let get = json!({"href": format!("{base}/objects/{oid}")});
    match (operation, there) {
        (Operation::Download, true) => {
            json!({"oid": oid, "size": size, "actions": {"download": get}})
        }
        (Operation::Download, false) => {
            json!({"oid": oid, "size": size, "error": {"code": 404, "message": "no such object"}})
        }
        (Operation::Upload, true) => json!({"oid": oid, "size": size}),
        (Operation::Upload, false) => {
            let verify = json!({"href": format!("{base}/verify")});
            json!({"oid": oid, "size": size, "actions": {"upload": get, "verify": verify}})
        }
    }
}

async fn put(forge: &Forge, repo: &RepoName, id: &str, body: Body) -> Response {
    let Ok(content) = to_bytes(body, OBJECT_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let hash: String =
        digest(&SHA256, &content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if hash != id {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    match forge.repos.store_lfs(repo, id, &content).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::error!(%error, "an object could not be stored");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn verify(forge: &Forge, repo: &RepoName, body: Body) -> Response {
    let Some(object) = read::<Object>(body).await.filter(|object| is_id(&object.oid)) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    match tokio::fs::metadata(place(forge, repo, &object.oid)).await {
        Ok(data) if data.len() == object.size => Json(json!({})).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn read<T: serde::de::DeserializeOwned>(body: Body) -> Option<T> {
    let text = to_bytes(body, REQUEST_MAX).await.ok()?;
    serde_json::from_slice(&text).ok()
}

fn place(forge: &Forge, repo: &RepoName, id: &str) -> PathBuf {
    forge.repos.lfs_object(repo, id)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
