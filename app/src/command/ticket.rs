//! `terarchitect-app ticket …`

use std::fmt::Write as _;

use api_client::{ProjectId, TicketId};
use serde_json::json;

use super::{Answer, CommandError};
use crate::cli::{TicketAdd, TicketCommand};
use crate::model::{Checkpoint, Column, LogRecord, Ticket};
use crate::output::{pairs, printable, table};
use crate::remote::Remote;

/// Lines shown of the end of an entry's output.
const OUTPUT_LINES: usize = 20;

/// Checkpoints shown of a ticket; `--json` has all.
const CHECKPOINTS: usize = 15;

pub(super) async fn run(command: TicketCommand, app: &Remote) -> Result<Answer, CommandError> {
    match command {
        TicketCommand::Add(args) => add(args, app).await,
        TicketCommand::List { project } => list(project, app).await,
        TicketCommand::Start { id } => start(id, app).await,
        TicketCommand::Show { id } => show(id, app).await,
        TicketCommand::Logs { id } => logs(id, app).await,
        TicketCommand::Cancel { id } => cancel(id, app).await,
    }
}

async fn add(args: TicketAdd, app: &Remote) -> Result<Answer, CommandError> {
    let body = json!({
        "title": args.title,
        "description": args.description,
        "priority": args.priority,
    });
    let path = format!("/api/projects/{}/tickets", args.project);
    let json = app.post(&path, body).await?;
    let text = details(app.read(&json)?);
    Ok(Answer { json, text })
}

async fn list(project: ProjectId, app: &Remote) -> Result<Answer, CommandError> {
    let json = app.get(&format!("/api/projects/{project}/tickets")).await?;
    let tickets: Vec<Ticket> = app.read(&json)?;
    if tickets.is_empty() {
        let text = "no tickets".to_owned();
        return Ok(Answer { json, text });
    }
    let rows: Vec<_> = tickets
        .into_iter()
        .map(|ticket| {
            [
                ticket.id.to_string(),
                ticket.column_id.to_string(),
                ticket.job.map_or("-".into(), |job| job.status.to_string()),
                ticket.priority.to_string(),
                ticket.title,
            ]
        })
        .collect();
    let text = table(["TICKET", "COLUMN", "JOB", "PRIORITY", "TITLE"], &rows);
    Ok(Answer { json, text })
}

async fn start(id: TicketId, app: &Remote) -> Result<Answer, CommandError> {
    let ticket = find(id, app).await?;
    let body = json!({ "column_id": Column::InProgress });
    let json = app.patch(&path(&ticket, ""), body).await?;
    let text = details(app.read(&json)?);
    Ok(Answer { json, text })
}

async fn show(id: TicketId, app: &Remote) -> Result<Answer, CommandError> {
    let mut json = app.get(&format!("/api/tickets/{id}")).await?;
    let ticket: Ticket = app.read(&json)?;
    let told = app.get(&path(&ticket, "/checkpoints")).await?;
    let checkpoints: Vec<Checkpoint> = app.read(&told)?;
    json["checkpoints"] = told;
    let text = details(ticket) + &course(&checkpoints);
    Ok(Answer { json, text })
}

async fn logs(id: TicketId, app: &Remote) -> Result<Answer, CommandError> {
    let ticket = find(id, app).await?;
    let json = app.get(&path(&ticket, "/logs")).await?;
    let records: Vec<LogRecord> = app.read(&json)?;
    let text = if records.is_empty() {
        "no log entries".to_owned()
    } else {
        records.iter().map(entry).collect()
    };
    Ok(Answer { json, text })
}

async fn cancel(id: TicketId, app: &Remote) -> Result<Answer, CommandError> {
    let ticket = find(id, app).await?;
    let json = app.post(&path(&ticket, "/cancel"), json!({})).await?;
    let text = match json["effect"].as_str() {
        Some("withdrawn") => "the waiting job was taken out of the queue",
        Some("asked") => "the running job was asked to stop",
        Some("nothing_active") => "no job of this ticket waits or runs",
        _ => "cancellation requested",
    };
    let text = text.to_owned();
    Ok(Answer { json, text })
}

async fn find(id: TicketId, app: &Remote) -> Result<Ticket, CommandError> {
    let json = app.get(&format!("/api/tickets/{id}")).await?;
    Ok(app.read(&json)?)
}

fn path(ticket: &Ticket, leaf: &str) -> String {
    format!("/api/projects/{}/tickets/{}{leaf}", ticket.project_id, ticket.id)
}

fn details(ticket: Ticket) -> String {
    let description = printable(&ticket.description);
    let mut text = pairs(&[
        ("ticket", Some(ticket.id.to_string())),
        ("project", Some(ticket.project_id.to_string())),
        ("title", Some(ticket.title)),
        ("column", Some(ticket.column_id.to_string())),
        ("status", Some(ticket.status.to_string())),
        ("priority", Some(ticket.priority.to_string())),
        ("job", ticket.job.map(|job| job.job_id.to_string())),
        ("job status", ticket.job.map(|job| job.status.to_string())),
        ("pull request", ticket.pr_url),
        ("its state", ticket.review.map(|review| review.state.to_string())),
        ("summary", ticket.summary),
        ("updated", Some(ticket.updated_at.to_string())),
    ]);
    if !description.trim().is_empty() {
        let _infallible = write!(text, "\n{}", description.trim());
    }
    text
}

/// The newest of what runs told while they went, one line each.
fn course(checkpoints: &[Checkpoint]) -> String {
    let hidden = checkpoints.len().saturating_sub(CHECKPOINTS);
    checkpoints.iter().skip(hidden).fold(String::new(), |mut text, checkpoint| {
        let Checkpoint { hook, turn, note, tokens, created_at, .. } = checkpoint;
        let turn = turn.map(|turn| format!(" (turn {turn})")).unwrap_or_default();
        let tokens = tokens.map(|tokens| format!("  [{tokens} tokens]")).unwrap_or_default();
        let note = printable(note).replace('\n', " ");
        let start = if text.is_empty() { "\n\n" } else { "\n" };
        let _infallible = write!(text, "{start}{created_at}  {hook}{turn}  {note}{tokens}");
        text
    })
}

/// One line, with the end of the output indented below it.
fn entry(record: &LogRecord) -> String {
    let summary = printable(&record.summary).replace('\n', "\n    ");
    let mut text = format!("{}  {}  {summary}\n", record.created_at, printable(&record.step));
    let output = printable(record.raw_output.as_deref().unwrap_or_default());
    let lines: Vec<&str> = output.lines().collect();
    let hidden = lines.len().saturating_sub(OUTPUT_LINES);
    if hidden > 0 {
        let _infallible = writeln!(text, "    … {hidden} lines before; --json shows all");
    }
    for line in lines.into_iter().skip(hidden) {
        let _infallible = writeln!(text, "    {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::model::Hook;

    #[test]
    fn the_newest_checkpoints_are_shown_in_a_line_each() {
        let checkpoint = |turn| Checkpoint {
            session_id: "s".to_owned(),
            hook: Hook::Turn,
            turn: Some(turn),
            note: "finished\n\u{1b}[31m".to_owned(),
            tokens: Some(120),
            created_at: Timestamp::from_millis(0),
        };
        let text = course(&(0..20).map(checkpoint).collect::<Vec<_>>());
        let lines: Vec<&str> = text.trim().lines().collect();
        assert_eq!(lines.len(), CHECKPOINTS);
        let last = lines.last().unwrap();
        assert!(last.starts_with("1970-01-01T00:00:00.000Z  on_turn (turn 19)  finished "));
        assert!(last.ends_with("[120 tokens]") && !last.contains('\u{1b}'), "{last}");
        assert_eq!(course(&[]), "");
    }

    #[test]
    fn of_long_output_the_end_is_shown_and_the_rest_counted() {
        let lines: Vec<String> = (1..=25).map(|n| format!("line {n}")).collect();
        let record = LogRecord {
            id: String::new(),
            step: "worker_failed".to_owned(),
            summary: "exit 1".to_owned(),
            raw_output: Some(lines.join("\n")),
            success: None,
            created_at: Timestamp::from_millis(0),
        };
        let text = entry(&record);
        assert!(text.starts_with("1970-01-01T00:00:00.000Z  worker_failed  exit 1\n"));
        assert!(text.contains("… 5 lines before"), "{text}");
        assert!(text.contains("line 25\n") && !text.contains("line 5\n"), "{text}");
    }
}
