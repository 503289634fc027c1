//! What the operator's commands print.

use std::fmt::Write;

use serde::Serialize;

use crate::board::{JobStage, StatusView};
use crate::housekeeping::{Deed, Swept};
use crate::paper::{Paper, seconds as age};

/// The state of a coordinator, for people.
pub(crate) fn status_text(status: &StatusView, paper: Paper) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!("claims     {}", status.gate));
    if let Some(held) = &status.held {
        line(paper.yellow(&format!("held       {} (for {})", held.text, age(held.age))));
    }
    line(format!("slots      {} of {} in use", status.slots_used, status.slots));
    for (dependency, state) in &status.breakers {
        line(format!("breaker    {dependency}: {state}"));
    }
    for alarm in &status.alarms {
        line(paper.red(&format!("ALARM      {alarm}")));
    }
    for job in &status.jobs {
        let ticket = job.ticket.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        let stage = stage(job.stage);
        line(format!("job        {}  {stage:<13} {:>8}  ticket {ticket}", job.job, age(job.age)));
    }
    for waiting in &status.outbox {
        line(format!(
            "outbox     {}  waits for {}: {}",
            waiting.job,
            age(waiting.age),
            waiting.problem
        ));
    }
    text.trim_end().to_owned()
}

/// The state of a coordinator, for programs.
pub(crate) fn status_json(status: &StatusView) -> String {
    // Maps of strings and numbers always serialise.
    serde_json::to_string_pretty(status).unwrap_or_default()
}

/// What was removed, for people.
pub(crate) fn swept_text(swept: &Swept, deed: Deed) -> String {
    let verb = match deed {
        Deed::Remove => "removed",
        Deed::Show => "would remove",
    };
    let mut text = String::new();
    for line in &swept.removed {
        let _infallible = writeln!(text, "{verb}  {line}");
    }
    for line in &swept.failed {
        let _infallible = writeln!(text, "failed   {line}");
    }
    let count = swept.removed.len();
    let _infallible = write!(text, "{verb}: {count} things, {} MiB of logs", swept.bytes >> 20);
    text
}

/// What was removed, for programs.
pub(crate) fn swept_json(swept: &Swept) -> String {
    #[derive(Serialize)]
    struct Object<'s> {
        version: u32,
        #[serde(flatten)]
        swept: &'s Swept,
    }
    serde_json::to_string_pretty(&Object { version: 1, swept }).unwrap_or_default()
}

pub(super) const fn stage(stage: JobStage) -> &'static str {
    match stage {
        JobStage::Held => "held",
        JobStage::Launching => "launching",
        JobStage::InContainer => "in container",
        JobStage::OnHost => "on the host",
        JobStage::Stopping => "stopping",
        JobStage::Reporting => "reporting",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api_client::JobId;

    use super::*;
    use crate::board::{HeldView, OutboxView};
    use crate::idle::Condition;

    #[test]
    fn people_see_what_is_wrong_and_since_when() {
        let job: JobId = "93863a0a-985e-474b-a6b2-40a89654e6bf".parse().unwrap();
        let problem = "the app answered 401; check TERARCHITECT_WORKER_API_KEY".to_owned();
        let status = StatusView {
            version: 1,
            gate: "open".to_owned(),
            engine: None,
            held: Some(HeldView {
                text: "the Docker Engine does not answer".to_owned(),
                age: 75,
                condition: Condition::Engine,
            }),
            queue: None,
            asked: None,
            slots_used: 1,
            slots: 4,
            jobs: Vec::new(),
            outbox: vec![OutboxView { job, problem: problem.clone(), age: 7_260 }],
            alarms: vec![problem],
            breakers: BTreeMap::from([("engine".to_owned(), "open".to_owned())]),
        };
        let text = status_text(&status, Paper::Plain);
        assert!(
            text.contains("held       the Docker Engine does not answer (for 1m 15s)"),
            "{text}"
        );
        assert!(text.contains("slots      1 of 4 in use"), "{text}");
        assert!(text.contains("ALARM      the app answered 401"), "{text}");
        assert!(text.contains("waits for 2h 1m"), "{text}");
        let again: StatusView = serde_json::from_str(&status_json(&status)).unwrap();
        assert_eq!(again, status);
    }
}
