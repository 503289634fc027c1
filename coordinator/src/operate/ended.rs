//! The list of jobs: those that a coordinator holds, if one runs, and those that have ended.

use std::path::Path;

use api_client::ProjectId;
use serde::Serialize;

use super::{OperateError, live};
use crate::board::{JobStage, JobView};
use crate::collect::{on_one_line, word};
use crate::explain::Live;
use crate::history::{self, EndedJob, JobResult};
use crate::paper::{Paper, seconds as age};

/// Version of [`Jobs`].
const VERSION: u32 = 1;

/// Which jobs are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFilter {
    /// Those alone that came to this.
    pub(crate) result: Option<JobResult>,
    /// Those of these projects; of all, where none is named.
    pub(crate) projects: Vec<ProjectId>,
    /// Those that ended at this instant or later, in seconds since 1970.
    pub(crate) since: u64,
    /// How many that have ended, at most.
    pub(crate) limit: usize,
}

/// The list.
#[derive(Debug, Serialize)]
pub(crate) struct Jobs {
    version: u32,
    /// Whether a coordinator runs, so that the running jobs are known.
    coordinator_runs: bool,
    running: Vec<JobView>,
    /// The latest first.
    jobs: Vec<EndedJob>,
}

/// The jobs that a filter lets through, whether a coordinator runs or not.
pub(crate) async fn jobs(state_dir: &Path, filter: &JobFilter) -> Result<Jobs, OperateError> {
    let ended = history::all(state_dir).map_err(|source| {
        let state_dir = state_dir.to_owned();
        OperateError::History { state_dir, source }
    })?;
    let (coordinator_runs, running) = match live(state_dir).await {
        Live::Answered(status) => (true, status.jobs),
        Live::NotRunning => (false, Vec::new()),
        Live::NoAnswer(_) => (true, Vec::new()),
    };
    Ok(chosen(coordinator_runs, running, ended, filter))
}

fn chosen(
    coordinator_runs: bool,
    mut running: Vec<JobView>,
    mut ended: Vec<EndedJob>,
    filter: &JobFilter,
) -> Jobs {
    let of_project = |project: Option<ProjectId>| {
        filter.projects.is_empty() || project.is_some_and(|id| filter.projects.contains(&id))
    };
    running.retain(|job| of_project(job.project) && filter.result.is_none());
    // What is being reported has ended, and is listed as such.
    running.retain(|job| job.stage != JobStage::Reporting);
    ended.retain(|job| {
        of_project(job.project)
            && job.ended_at >= filter.since
            && filter.result.is_none_or(|wanted| job.result == wanted)
    });
    ended.truncate(filter.limit);
    Jobs { version: VERSION, coordinator_runs, running, jobs: ended }
}

/// For people: a line each, with how long ago it ended at `now` (seconds since 1970).
pub(crate) fn jobs_text(jobs: &Jobs, now: u64, paper: Paper) -> String {
    if jobs.jobs.is_empty() && jobs.running.is_empty() {
        return "no such job runs or has ended, or none is kept any more".to_owned();
    }
    let running = jobs.running.iter().map(|job| {
        let stage = super::show::stage(job.stage);
        let came_to = paper.yellow(&format!("{stage:<24}"));
        format!("{:>8}      {}  {came_to}", age(job.held), job.job).trim_end().to_owned()
    });
    let ended = jobs.jobs.iter().map(|job| line(job, now, paper));
    running.chain(ended).collect::<Vec<_>>().join("\n")
}

/// For programs: one JSON object with all that is kept of each.
pub(crate) fn jobs_json(jobs: &Jobs) -> String {
    // Maps of strings and numbers always serialise.
    serde_json::to_string_pretty(jobs).unwrap_or_default()
}

fn line(job: &EndedJob, now: u64, paper: Paper) -> String {
    let ago = age(now.saturating_sub(job.ended_at));
    let (came_to, detail) = match job.believed() {
        Some(document) => {
            let detail = match (&document.pull_request, &document.rescue) {
                (Some(pull), _) => pull.url.clone(),
                (None, Some(rescue)) => format!("branch {}", rescue.branch),
                (None, None) => document.summary.clone(),
            };
            let (verdict, cause) = (word(&document.verdict), word(&document.cause));
            (if verdict == cause { verdict } else { format!("{verdict}: {cause}") }, detail)
        }
        None => (word(&job.result), job.reason.clone().unwrap_or_default()),
    };
    let came_to = format!("{came_to:<24}");
    let came_to = match job.result {
        JobResult::Completed => paper.green(&came_to),
        JobResult::Failed => paper.red(&came_to),
        JobResult::Parked | JobResult::Superseded => paper.yellow(&came_to),
    };
    format!("{ago:>8} ago  {}  {came_to}  {}", job.job, on_one_line(&detail, 200))
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(document: &serde_json::Value, doubt: Option<&str>) -> EndedJob {
        serde_json::from_value(json!({
            "version": 1, "job": "93863a0a-985e-474b-a6b2-40a89654e6bf", "claimed_at": 1,
            "ended_at": 100, "result": "failed", "cause": "agent", "reason": "worker failed (exit 4)",
            "document": document, "doubt": doubt,
        }))
        .unwrap()
    }

    fn listed(job: EndedJob, now: u64) -> String {
        let filter = JobFilter { limit: 9, ..JobFilter::default() };
        jobs_text(&chosen(false, Vec::new(), vec![job], &filter), now, Paper::Plain)
    }

    #[test]
    fn a_filter_lets_through_what_it_names_alone() {
        let document = json!({
            "version": 1, "verdict": "failed", "cause": "worker_failed", "summary": "s",
            "runner_version": "1",
        });
        let job = job(&document, None);
        let passes = |filter: JobFilter| {
            chosen(true, Vec::new(), vec![job.clone()], &JobFilter { limit: 9, ..filter })
                .jobs
                .len()
        };
        assert_eq!(passes(JobFilter::default()), 1);
        assert_eq!(passes(JobFilter { result: Some(JobResult::Failed), ..Default::default() }), 1);
        assert_eq!(
            passes(JobFilter { result: Some(JobResult::Completed), ..Default::default() }),
            0
        );
        assert_eq!(passes(JobFilter { since: 100, ..Default::default() }), 1);
        assert_eq!(passes(JobFilter { since: 101, ..Default::default() }), 0);
        let projects = vec!["93863a0a-985e-474b-a6b2-40a89654e6bf".parse().unwrap()];
        assert_eq!(passes(JobFilter { projects, ..Default::default() }), 0);
    }

    #[test]
    fn people_see_what_a_job_came_to_and_where_its_work_is() {
        let commit = "a".repeat(40);
        let mut document = json!({
            "version": 1, "verdict": "partial", "cause": "worker_failed", "summary": "it broke",
            "runner_version": "1", "rescue": {"branch": "ticket-1-rescue", "commit": commit},
        });
        let text = listed(job(&document, None), 165);
        assert_eq!(
            text,
            "   1m 5s ago  93863a0a-985e-474b-a6b2-40a89654e6bf  partial: worker_failed    branch \
             ticket-1-rescue"
        );
        document["pull_request"] =
            json!({"url": "https://forge.example/1", "number": 1, "head": commit});
        assert!(listed(job(&document, None), 165).ends_with("https://forge.example/1"));
    }

    #[test]
    fn of_a_document_that_is_not_believed_nothing_is_shown_in_the_list() {
        let document = json!({
            "version": 1, "verdict": "delivered", "cause": "delivered", "summary": "all done",
            "runner_version": "1",
        });
        let text = listed(job(&document, Some("it says otherwise")), 100);
        assert!(text.contains("failed ") && text.ends_with("worker failed (exit 4)"), "{text}");
    }
}
