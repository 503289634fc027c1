//! Claims with an id: making them, and what is said in their name.

use api_client::wire::{HeldBy, Job, JobFailure};
use api_client::{ApiError, ClaimId, WorkerApi};

/// A claim of any project.
pub(crate) async fn claim_as(api: &WorkerApi, claim: ClaimId) -> Option<Job> {
    super::job_of(api.claim(None, Some(claim)).await.unwrap())
}

pub(crate) fn by(claim: ClaimId) -> HeldBy {
    HeldBy { claim_id: Some(claim) }
}

pub(crate) fn failure(claim: ClaimId, cause: &str) -> JobFailure {
    JobFailure {
        reason: "as told".to_owned(),
        cause: Some(cause.to_owned()),
        claim_id: Some(claim),
        usage: None,
    }
}

#[track_caller]
pub(crate) fn fenced<T: std::fmt::Debug>(answer: Result<T, ApiError>) -> String {
    match answer.unwrap_err() {
        ApiError::Refused { status: 409, message, .. } => message,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn claimed_as(api: &WorkerApi, claim: ClaimId) -> Job {
    claim_as(api, claim).await.unwrap()
}
