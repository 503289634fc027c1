//! Gitea Actions, as 1.25 has them: each check with a log is the one job of a run.
//!
//! As there, a run has two numbers, one on its page and one in the API; the page has the place of the job in
//! the run, the API another number.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Check, Job};
use crate::forge::refusal::Refusal;
use crate::forge::token_api::find;
use crate::forge::{Forge, RepoName};

/// What the API counts above the number of a job.
const RUNS: u64 = 500;
const JOBS: u64 = 900;

#[derive(Debug, Deserialize)]
struct OfCommit {
    head_sha: String,
}

pub(super) fn router() -> Router<Arc<Forge>> {
    Router::new()
        .route("/repos/{owner}/{repo}/actions/runs", get(runs))
        .route("/repos/{owner}/{repo}/actions/runs/{run}/jobs", get(jobs))
        .route("/repos/{owner}/{repo}/actions/jobs/{job}/logs", get(log))
}

/// The page of a job, as a status has it.
pub(super) fn page(repo: &RepoName, job: &Job) -> String {
    format!("/{repo}/actions/runs/{}/jobs/0", job.number)
}

async fn runs(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo)): Path<(String, String)>,
    Query(OfCommit { head_sha }): Query<OfCommit>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?;
    let checks = forge.talk.checks(&repo.name, &head_sha);
    let runs = checks.iter().filter_map(|check| check.job.as_ref()).map(|job| {
        let page = format!("{}{}/actions/runs/{}", forge.external_url, repo.name, job.number);
        json!({"id": RUNS + job.number, "html_url": page, "head_sha": head_sha})
    });
    let runs: Vec<Value> = runs.collect();
    Ok(Json(json!({"total_count": runs.len(), "workflow_runs": runs})))
}

async fn jobs(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, run)): Path<(String, String, u64)>,
) -> Result<Json<Value>, Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?;
    let (check, job) = ran(&forge, &repo.name, run.saturating_sub(RUNS))?;
    let url = format!("{}{}", forge.external_url, page(&repo.name, &job).trim_start_matches('/'));
    let job = json!({"id": JOBS + job.number, "name": check.name, "html_url": url});
    Ok(Json(json!({"total_count": 1, "jobs": [job]})))
}

async fn log(
    State(forge): State<Arc<Forge>>,
    Path((owner, repo, job)): Path<(String, String, u64)>,
) -> Result<String, Refusal> {
    let repo = find(&forge, &format!("{owner}/{repo}"))?;
    Ok(ran(&forge, &repo.name, job.saturating_sub(JOBS))?.1.log)
}

/// What a job ran, with the job.
fn ran(forge: &Forge, repo: &RepoName, job: u64) -> Result<(Check, Job), Refusal> {
    let check = forge.talk.check_of(repo, job).ok_or_else(|| Refusal::not_found("Job"))?;
    let job = check.job.clone().ok_or_else(|| Refusal::not_found("Job"))?;
    Ok((check, job))
}
