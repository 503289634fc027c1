//! `terarchitect-app job …`

use api_client::JobId;
use api_client::wire::JobKind;
use url::form_urlencoded::Serializer;

use super::{Answer, CommandError};
use crate::cli::JobCommand;
use crate::model::Job;
use crate::output::{pairs, table};
use crate::remote::Remote;

pub(super) async fn run(command: JobCommand, app: &Remote) -> Result<Answer, CommandError> {
    match command {
        JobCommand::List { status, project } => {
            let mut query = Serializer::new(String::new());
            if let Some(status) = status {
                query.append_pair("status", status.name());
            }
            if let Some(project) = project {
                query.append_pair("project_id", &project.to_string());
            }
            list(&query.finish(), app).await
        }
        JobCommand::Show { id } => show(id, app).await,
    }
}

async fn list(query: &str, app: &Remote) -> Result<Answer, CommandError> {
    let json = app.get(&format!("/api/jobs?{query}")).await?;
    let jobs: Vec<Job> = app.read(&json)?;
    if jobs.is_empty() {
        let text = "no jobs".to_owned();
        return Ok(Answer { json, text });
    }
    let rows: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            [
                job.job_id.to_string(),
                job.kind.name().to_owned(),
                match job.not_before {
                    Some(due) => format!("{} until {due}", job.status),
                    None => job.status.to_string(),
                },
                job.attempt.to_string(),
                job.ticket_id.to_string(),
                job.created_at.to_string(),
                job.fail_reason.unwrap_or_default(),
            ]
        })
        .collect();
    let headers = ["JOB", "KIND", "STATUS", "ATTEMPT", "TICKET", "CREATED", "REASON"];
    let text = table(headers, &rows);
    Ok(Answer { json, text })
}

async fn show(id: JobId, app: &Remote) -> Result<Answer, CommandError> {
    let json = app.get(&format!("/api/jobs/{id}")).await?;
    let job: Job = app.read(&json)?;
    let (pr, comment) = match &job.kind {
        JobKind::Ticket => (None, None),
        JobKind::Review { pr_number, comment_body, .. } => {
            (Some(pr_number.to_string()), Some(comment_body.clone()))
        }
    };
    let text = pairs(&[
        ("job", Some(job.job_id.to_string())),
        ("kind", Some(job.kind.name().to_owned())),
        ("status", Some(job.status.to_string())),
        ("due", job.not_before.map(|time| time.to_string())),
        ("waits for", job.parked_for),
        ("reason", job.fail_reason),
        ("cause", job.fail_cause),
        ("ticket", Some(job.ticket_id.to_string())),
        ("project", Some(job.project_id.to_string())),
        ("pull request", pr),
        ("comment", comment),
        ("attempt", Some(job.attempt.to_string())),
        ("claim", job.claim_id.map(|id| id.to_string())),
        ("cancel", job.cancel_requested.then(|| "requested".to_owned())),
        ("created", Some(job.created_at.to_string())),
        ("claimed", job.claimed_at.map(|time| time.to_string())),
        ("finished", job.finished_at.map(|time| time.to_string())),
    ]);
    Ok(Answer { json, text })
}
