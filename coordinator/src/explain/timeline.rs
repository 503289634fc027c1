//! The course of a job as rows: what the coordinator noted, and between that the parts of the agent's run
//! as its outcome document has them. Pure.

use api_client::outcome::OutcomeDocument;
use serde::Serialize;

use crate::collect::on_one_line;
use crate::history::EndedJob;
use crate::ledger::{Event, Happened, Record, Timeline};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// In milliseconds since 1970, where that is known.
    pub(crate) at_millis: Option<u64>,
    /// What happened, or the part of the agent's run.
    pub(crate) what: String,
    /// Whether the agent tells it.
    pub(crate) by_agent: bool,
    /// Since what the coordinator noted before.
    pub(crate) after_millis: Option<u64>,
    /// How long it took: of a part of the agent's run.
    pub(crate) took_millis: Option<u64>,
    /// More, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// The rows of a job that may not have ended.
pub(super) fn rows(record: Option<&Record>, ended: Option<&EndedJob>, now_millis: u64) -> Vec<Row> {
    let timeline = match (ended, record) {
        (Some(ended), _) if !ended.timeline.is_empty() => ended.timeline.clone(),
        (Some(ended), _) => earlier(ended.claimed_at, Some(ended.ended_at)),
        (None, Some(record)) if !record.timeline.is_empty() => record.timeline.clone(),
        (None, Some(record)) => earlier(record.claimed_at, None),
        (None, None) => Timeline::default(),
    };
    let mut rows = of_events(timeline.events());
    if let Some(document) = ended.and_then(EndedJob::believed) {
        let delivered = timeline.last(Happened::Delivered);
        let end = timeline.events().iter().position(|event| event.what == Happened::Ended);
        let end = end.unwrap_or(rows.len());
        rows.splice(end..end, of_agent(document, delivered));
    }
    if ended.is_none() && timeline.last(Happened::Ended).is_none() {
        let since =
            timeline.events().last().map(|event| now_millis.saturating_sub(event.at_millis));
        rows.push(Row { after_millis: since, ..row("now", Some(now_millis)) });
    }
    rows
}

/// Of a job of an earlier version, which kept two instants, in seconds.
fn earlier(claimed_at: u64, ended_at: Option<u64>) -> Timeline {
    let mut timeline = Timeline::default();
    timeline.note(Happened::Claimed, claimed_at * 1_000);
    if let Some(at) = ended_at {
        timeline.note(Happened::Ended, at * 1_000);
    }
    timeline
}

fn row(what: &str, at_millis: Option<u64>) -> Row {
    Row {
        at_millis,
        what: what.to_owned(),
        by_agent: false,
        after_millis: None,
        took_millis: None,
        detail: None,
    }
}

fn of_events(events: &[Event]) -> Vec<Row> {
    let mut before = None;
    let mut rows = Vec::new();
    for event in events {
        // A clock that was set back tells no duration.
        let after = before.and_then(|before| event.at_millis.checked_sub(before));
        rows.push(Row { after_millis: after, ..row(words(event.what), Some(event.at_millis)) });
        before = Some(event.at_millis);
    }
    rows
}

const fn words(what: Happened) -> &'static str {
    match what {
        Happened::Claimed => "claimed",
        Happened::Created => "container created",
        Happened::Started => "container started",
        Happened::OnHost => "keeper started on this host",
        Happened::Delivered => "agent has the job",
        Happened::Adopted => "taken up by a coordinator that was started anew",
        Happened::AskedAgain => "asked for again by a coordinator that was started anew",
        Happened::Ended => "ended",
        Happened::Reported => "reported to the app",
        Happened::Other => "something that this version does not know",
    }
}

/// The agent measures from its own start, which is when it got the job.
fn of_agent(document: &OutcomeDocument, delivered: Option<u64>) -> Vec<Row> {
    let mut turns = document.turns.iter().enumerate();
    let mut rows = Vec::new();
    for phase in &document.phases {
        let turn = if phase.name == "worker" { turns.next() } else { None };
        let detail = turn.map(|(number, turn)| {
            let tokens = turn.tokens;
            let read = tokens.input + tokens.cached;
            let ending = on_one_line(&turn.ending, 40);
            format!("turn {}: {ending}, {read} tokens read, {} written", number + 1, tokens.output)
        });
        let at = delivered.map(|at| at + phase.began_millis);
        rows.push(Row {
            by_agent: true,
            took_millis: Some(phase.millis),
            detail,
            ..row(&on_one_line(&phase.name, 40), at)
        });
    }
    rows
}
