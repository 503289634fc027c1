//! What a notification says: a message as Slack takes it, and the same for programs. Pure.

use serde_json::{Value, json};

use super::{Event, Fate, JobEnd};
use crate::gate::GateState;
use crate::history::{EndedJob, ReportEnd, told};
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
        Event::DrainCancelled { .. } => "drain_cancelled",
        Event::Trial => "trial",
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
        Event::Draining { jobs, fate } => {
            let text = match fate {
                Fate::Finished => {
                    format!("Draining: nothing is claimed any more, {jobs} jobs are left")
                }
                Fate::Stopped => {
                    format!("Stopping: nothing is claimed any more, {jobs} jobs are ended")
                }
            };
            (text, WARNING, json!({"jobs": jobs, "jobs_are": fate.name()}))
        }
        Event::Trial => {
            let text = "Trial: this is where the coordinator's notifications arrive";
            (text.to_owned(), GOOD, json!({}))
        }
        Event::Drained => ("Drained: the last job has ended".to_owned(), GOOD, json!({})),
        Event::DrainCancelled { gate } => {
            let now = match gate {
                GateState::Open => "jobs are claimed again",
                GateState::Paused | GateState::Draining => "the coordinator is paused now",
            };
            let text = format!("Draining no more: {now}");
            (text, GOOD, json!({"gate": gate.name()}))
        }
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

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }
}

fn of_job(end: &JobEnd, about: &About<'_>) -> (String, &'static str, Value) {
    let job = &end.record.job;
    let (result, colour, cause) = match &end.outcome {
        Outcome::Completed => ("completed", GOOD, None),
        Outcome::Parked(_) => ("parked", WARNING, None),
        Outcome::Superseded => ("superseded", WARNING, None),
        Outcome::Failed(cause) => ("failed", DANGER, Some(cause)),
    };
    let document = about.ended.and_then(EndedJob::believed);
    let reason = cause.map(|cause| short(&(about.redact)(&cause.to_string())));
    let said = document.map(told).filter(|said| !said.is_empty()).map(|said| short(&said));
    let mut text = format!("Job {} {result}", job.job_id);
    text.push_str(match end.report {
        Some(ReportEnd::SettledBefore) => " (the app had settled it before)",
        Some(ReportEnd::UnknownToApp) => " (the app does not know it any more)",
        None => " (the app was not told yet)",
        Some(ReportEnd::Acknowledged | ReportEnd::NotOurs | ReportEnd::Other) => "",
    });
    for words in reason.iter().chain(&said) {
        text.push_str(": ");
        text.push_str(words);
    }
    let ended_at = about.ended.map_or(end.ended_at, |ended| ended.ended_at);
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
        "ended_at": ended_at,
        "seconds": ended_at.saturating_sub(end.record.claimed_at),
        "report": end.report,
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

/// No text from outside mentions a channel, or hides where a link goes: with Slack, whose marks are in
/// angle brackets, nor with Mattermost and Rocket.Chat, which know `@all` and the links of Markdown. A
/// space without width ends those, and is not seen.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = text.replace('@', "@\u{200b}");
    ["(", "[", ":"]
        .iter()
        .fold(text, |text, next| text.replace(&format!("]{next}"), &format!("]\u{200b}{next}")))
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
        let report = Some(ReportEnd::Acknowledged);
        let end = JobEnd { report, ..job_end(Outcome::Failed(Cause::NotStarted { problem })) };
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
    fn no_receiver_sees_a_mention_or_a_link_that_hides_where_it_goes() {
        let text = "@all @channel [your login](https://evil.example) ![x][y] <!here>".to_owned();
        let raised = Event::Raised { key: "app".into(), text: text.clone() };
        let body = body_of(&raised);
        let shown = body["text"].as_str().unwrap();
        for mark in ["@all", "@channel", "](", "][", "<!"] {
            assert!(!shown.contains(mark), "{mark}: {shown}");
        }
        assert_eq!(shown, body["attachments"][0]["fallback"]);
        assert_eq!(body["terarchitect"]["alarm"]["text"], text);
    }

    #[test]
    fn alarms_and_drains_have_names_of_their_own() {
        let raised = Event::Raised { key: "app".into(), text: "hunter2".into() };
        let body = body_of(&raised);
        assert_eq!(body["terarchitect"]["event"], "alarm");
        assert_eq!(body["text"], "Alarm: [redacted]");
        assert_eq!(body_of(&Event::Drained)["terarchitect"]["event"], "drained");
        for (fate, begin) in [(Fate::Finished, "Draining"), (Fate::Stopped, "Stopping")] {
            let body = body_of(&Event::Draining { jobs: 2, fate });
            assert_eq!(body["terarchitect"]["jobs"], 2);
            assert!(body["text"].as_str().unwrap().starts_with(begin), "{body}");
        }
        let body = body_of(&Event::DrainCancelled { gate: GateState::Open });
        assert_eq!(body["terarchitect"]["event"], "drain_cancelled");
        assert_eq!(body["terarchitect"]["gate"], "open");
    }

    #[test]
    fn what_the_app_made_of_the_end_of_a_job_is_told() {
        let text_of = |report| {
            let end = JobEnd { report, ..job_end(Outcome::Completed) };
            let body = body_of(&Event::JobEnded(Box::new(end)));
            (body["text"].as_str().unwrap().to_owned(), body["terarchitect"]["report"].clone())
        };
        let (text, report) = text_of(Some(ReportEnd::Acknowledged));
        assert!(text.ends_with(" completed") && report == "acknowledged", "{text} {report}");
        let (text, report) = text_of(Some(ReportEnd::SettledBefore));
        assert!(text.contains("settled it before") && report == "settled_before", "{text}");
        let (text, report) = text_of(None);
        assert!(text.contains("not told yet") && report.is_null(), "{text} {report}");
    }
}
