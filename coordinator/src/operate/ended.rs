//! How the jobs that have ended are listed.

use super::show::age;
use crate::collect::{on_one_line, word};
use crate::history::EndedJob;

/// For people: a line each, with how long ago it ended at `now` (seconds since 1970).
pub(crate) fn jobs_text(jobs: &[EndedJob], now: u64) -> String {
    if jobs.is_empty() {
        return "no job has ended, or none is kept any more".to_owned();
    }
    let lines: Vec<_> = jobs.iter().map(|job| line(job, now)).collect();
    lines.join("\n")
}

/// For programs: all that is kept of each.
pub(crate) fn jobs_json(jobs: &[EndedJob]) -> String {
    // Maps of strings and numbers always serialise.
    serde_json::to_string_pretty(jobs).unwrap_or_default()
}

fn line(job: &EndedJob, now: u64) -> String {
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
    format!("{ago:>8} ago  {}  {came_to:<24}  {}", job.job, on_one_line(&detail, 200))
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

    #[test]
    fn people_see_what_a_job_came_to_and_where_its_work_is() {
        let commit = "a".repeat(40);
        let mut document = json!({
            "version": 1, "verdict": "partial", "cause": "worker_failed", "summary": "it broke",
            "runner_version": "1", "rescue": {"branch": "ticket-1-rescue", "commit": commit},
        });
        let text = jobs_text(&[job(&document, None)], 165);
        assert_eq!(
            text,
            "   1m 5s ago  93863a0a-985e-474b-a6b2-40a89654e6bf  partial: worker_failed    branch \
             ticket-1-rescue"
        );
        document["pull_request"] =
            json!({"url": "https://forge.example/1", "number": 1, "head": commit});
        assert!(jobs_text(&[job(&document, None)], 165).ends_with("https://forge.example/1"));
    }

    #[test]
    fn of_a_document_that_is_not_believed_nothing_is_shown_in_the_list() {
        let document = json!({
            "version": 1, "verdict": "delivered", "cause": "delivered", "summary": "all done",
            "runner_version": "1",
        });
        let text = jobs_text(&[job(&document, Some("it says otherwise"))], 100);
        assert!(text.contains("failed ") && text.ends_with("worker failed (exit 4)"), "{text}");
    }
}
