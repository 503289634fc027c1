//! The jobs of Gitea Actions behind the statuses of a commit: each has a log.
//!
//! A status has no job, but the address of its page, `/owner/repo/actions/runs/N/jobs/M`. Until Gitea 1.25 its
//! numbers are counted in the repository and in the run; since then they are ids. Each job has the address of
//! the same page, so that addresses are compared, and no number in them is read.
//!
//! Invariant: an address is compared only, and never asked.

use std::collections::BTreeSet;

use api_client::error_chain;
use serde::Deserialize;

use super::{Gitea, paged};
use crate::forge::ForgeError;
use crate::forge::http::parse_each;
use crate::forge::review::{Check, CheckState};
use crate::git::CommitId;

/// A run, or a job of one.
#[derive(Deserialize)]
struct OnPage {
    id: u64,
    /// Its page; absent on other servers with such an API.
    #[serde(default)]
    html_url: String,
}

impl Gitea {
    /// Tells the failing checks of a commit which job each is of. Those of anything else have none, nor have
    /// any where the server does not tell: before Gitea 1.25, or with a token that may not read Actions.
    pub(super) async fn name_jobs(&self, commit: CommitId, checks: &mut [Check]) {
        let failing = checks.iter_mut().filter(|check| check.state == CheckState::Failed);
        let mut failing: Vec<&mut Check> =
            failing.filter(|check| run_of(check).is_some()).collect();
        let runs: BTreeSet<&str> = failing.iter().filter_map(|check| run_of(check)).collect();
        if runs.is_empty() {
            return;
        }
        match self.jobs(commit, &runs).await {
            Ok(jobs) => {
                for check in &mut failing {
                    let page = check.url.as_deref().unwrap_or_default();
                    check.job =
                        jobs.iter().find(|job| job.html_url.ends_with(page)).map(|job| job.id);
                }
            }
            Err(ForgeError::NotFound { .. } | ForgeError::Unauthorised { .. }) => {}
            Err(error) => tracing::warn!("the checks have no logs: {}", error_chain(&error)),
        }
    }

    /// The jobs of those runs of a commit that have these pages.
    async fn jobs(
        &self,
        commit: CommitId,
        pages: &BTreeSet<&str>,
    ) -> Result<Vec<OnPage>, ForgeError> {
        let attempted = "asking which jobs the checks are of";
        let mut url = paged(self.repository.url(&["actions", "runs"]));
        url.query_pairs_mut().append_pair("head_sha", &commit.to_string());
        let runs = self.repository.api.get_all_in(attempted, url, "workflow_runs").await?;
        let mut runs: Vec<OnPage> = parse_each(attempted, runs)?;
        runs.retain(|run| pages.iter().any(|page| run.html_url.ends_with(page)));
        let mut jobs = Vec::new();
        for run in runs {
            let url = paged(self.repository.url(&["actions", "runs", &run.id.to_string(), "jobs"]));
            let found = self.repository.api.get_all_in(attempted, url, "jobs").await?;
            jobs.extend(parse_each(attempted, found)?);
        }
        Ok(jobs)
    }
}

/// The page of the run that a check is a job of, by the check's own page.
fn run_of(check: &Check) -> Option<&str> {
    let (run, _) = check.url.as_deref()?.rsplit_once("/jobs/")?;
    run.contains("/actions/runs/").then_some(run)
}
