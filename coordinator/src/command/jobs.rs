//! `jobs`: what runs, and what there was.

use std::process::ExitCode;

use api_client::ProjectId;

use super::{Failure, MISCONFIGURED, operated, say, show, state_dir};
use crate::cli::Jobs;
use crate::config::Flags;
use crate::history::JobResult;
use crate::operate::JobFilter;
use crate::{clock, operate};

pub(crate) async fn jobs(arguments: &Jobs) -> Result<ExitCode, Failure> {
    let state_dir = state_dir(&arguments.settings)?;
    let now = clock::now();
    let filter = JobFilter {
        result: arguments.failed.then_some(JobResult::Failed),
        projects: projects(&arguments.settings)?,
        since: arguments.since.map_or(0, |since| now.saturating_sub(since.as_secs())),
        limit: arguments.limit,
    };
    let jobs = operate::jobs(&state_dir, &filter).await.map_err(|error| operated(&error))?;
    if arguments.json {
        say(&operate::jobs_json(&jobs));
    } else {
        show(|paper| operate::jobs_text(&jobs, now, paper));
    }
    Ok(ExitCode::SUCCESS)
}

/// The projects that the flag names, as the setting does.
fn projects(flags: &Flags) -> Result<Vec<ProjectId>, Failure> {
    let given = flags.values.get("project").into_iter().flatten();
    let ids = given.flat_map(|text| text.split(',')).map(str::trim).filter(|id| !id.is_empty());
    let parsed = ids.map(|id| {
        let message = format!("--project {id}: must be the id of a project, a UUID");
        id.parse().map_err(|_| Failure { code: MISCONFIGURED, message })
    });
    parsed.collect()
}
