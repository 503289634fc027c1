//! What a notification says: a message as Slack takes it, and the same for programs. Pure.

use serde_json::{Value, json};

use super::{Event, JobEnd};
use crate::history::{EndedJob, told};
use crate::outcome::Outcome;

/// Version of the part for programs.
const VERSION: u32 = 1;

/// Colours of a message's edge.
const GOOD: &str = "good";
const WARNING: &str = "warning";
const DANGER: &str = "danger";

/// Longest reason that is told, in characters.
const REASON_MAX_CHARS: usize = 1_000;

/// What is known of a notification beside its event.
pub(super) struct About<'a> {
    /// Which coordinator tells.
    pub(super) coordinator: &'a str,
    /// Now, in seconds since 1970.
    pub(super) at: u64,
    /// What is kept of the job that ended.
    pub(super) ended: Option<&'a EndedJob>,
    /// Hides secrets in what others said.
    pub(super) redact: &'a dyn Fn(&str) -> String,
}

/// The name of an event.
pub(super) fn name(event: &Event) -> &'static str {
    match event {
        Event::JobEnded(end) if end.outcome.is_failure() => "job_failed",
        Event::JobEnded(_) => "job_ended",
        Event::Raised { .. } => "alarm",
        Event::Cleared { .. } => "alarm_cleared",
        Event::Draining { .. } => "drain",
        Event::Drained => "drained",
    }
}

/// The body of a notification.
pub(super) fn body(event: &Event, about: &About<'_>) -> Value {
    let (text, colour, facts) = match event {
        Event::JobEnded(end) => of_job(end, about),
        Event::Raised { key, text } => {
            let text = (about.redact)(text);
            (format!("Alarm: {text}"), DANGER, json!({"alarm": {"key": key, "text": text}}))
        }
        Event::Cleared { key, text } => {
            let text = (about.redact)(text);
            (format!("Over: {text}"), GOOD, json!({"alarm": {"key": key, "text": text}}))
        }
        Event::Draining { jobs } => {
            let text = format!("Draining: nothing is claimed any more, {jobs} jobs are left");
            (text, WARNING, json!({"jobs": jobs}))
        }
        Event::Drained => ("Drained: the last job has ended".to_owned(), GOOD, json!({})),
    };
    let mut own = json!({
        "version": VERSION, "event": name(event), "at": about.at, "coordinator": about.coordinator,
    });
    if let (Value::Object(own), Value::Object(facts)) = (&mut own, facts) {
        own.extend(facts);
    }
    let text = escaped(&text);
    json!({
        "text": text,
        "attachments": [{"color": colour, "fallback": text, "fields": fields(&own)}],
        "terarchitect": own,
    })
}

fn of_job(end: &JobEnd, about: &About<'_>) -> (String, &'static str, Value) {
    let job = &end.record.job;
    let (result, colour, cause) = match &end.outcome {
        Outcome::Completed => ("completed", GOOD, None),
        Outcome::Superseded => ("superseded", WARNING, None),
        Outcome::Failed(cause) => ("failed", DANGER, Some(cause)),
    };
    let document = about.ended.and_then(EndedJob::believed);
    let reason = cause.map(|cause| short(&(about.redact)(&cause.to_string())));
    let said = document.map(told).filter(|said| !said.is_empty()).map(|said| short(&said));
    let mut text = format!("Job {} {result}", job.job_id);
    for words in reason.iter().chain(&said) {
        text.push_str(": ");
        text.push_str(words);
    }
    let pull_request = document.and_then(|document| document.pull_request.as_ref());
    let facts = json!({
        "id": format!("job-{}-{}", job.job_id, end.record.claimed_at),
        "job": job.job_id,
        "ticket": job.ticket.map(|at| at.ticket_id),
        "project": job.ticket.map(|at| at.project_id),
        "result": result,
        "cause": cause.map(|cause| cause.name()),
        "reason": reason,
        "said": said,
        "pull_request": pull_request.map(|pull| &pull.url),
        "claimed_at": end.record.claimed_at,
        "ended_at": end.ended_at,
        "seconds": end.ended_at.saturating_sub(end.record.claimed_at),
    });
    (text, colour, facts)
}

/// What stands below the message: the facts that are short.
fn fields(own: &Value) -> Vec<Value> {
    let shown = [
        ("Job", "job"),
        ("Ticket", "ticket"),
        ("Project", "project"),
        ("Cause", "cause"),
        ("Seconds", "seconds"),
        ("Pull request", "pull_request"),
        ("Coordinator", "coordinator"),
    ];
    let field = |(title, name): (&str, &str)| {
        let value = match &own[name] {
            Value::String(text) => escaped(text),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(json!({"title": title, "value": value, "short": true}))
    };
    shown.into_iter().filter_map(field).collect()
}

/// No text from outside mentions a channel, or hides where a link goes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn short(text: &str) -> String {
    text.chars().take(REASON_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::job_end;
    use super::*;
    use crate::outcome::Cause;

    fn body_of(event: &Event) -> Value {
        let redact = |text: &str| text.replace("hunter2", "[redacted]");
        body(event, &About { coordinator: "c-1", at: 7, ended: None, redact: &redact })
    }

    #[test]
    fn a_failed_job_is_told_in_words_and_in_fields_without_secret_or_mention() {
        let problem = "<!channel> said hunter2".to_owned();
        let end = job_end(Outcome::Failed(Cause::NotStarted { problem }));
        let job = end.record.job.job_id.to_string();
        let body = body_of(&Event::JobEnded(Box::new(end)));
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with(&format!("Job {job} failed: ")), "{text}");
        assert!(text.contains("&lt;!channel&gt; said [redacted]"), "{text}");
        let own = &body["terarchitect"];
        assert_eq!((&own["event"], &own["job"]), (&json!("job_failed"), &json!(job)));
        assert_eq!((&own["seconds"], &own["cause"]), (&json!(60), &json!("not_started")));
        assert_eq!(body["attachments"][0]["color"], "danger");
        assert_eq!(
            body["attachments"][0]["fields"][0],
            json!({"title": "Job", "value": job, "short": true})
        );
        assert!(!body.to_string().contains("hunter2"));
    }

    #[test]
    fn alarms_and_drains_have_names_of_their_own() {
        let raised = Event::Raised { key: "app".into(), text: "hunter2".into() };
        let body = body_of(&raised);
        assert_eq!(body["terarchitect"]["event"], "alarm");
        assert_eq!(body["text"], "Alarm: [redacted]");
        assert_eq!(body_of(&Event::Drained)["terarchitect"]["event"], "drained");
        assert_eq!(body_of(&Event::Draining { jobs: 2 })["terarchitect"]["jobs"], 2);
    }
}
