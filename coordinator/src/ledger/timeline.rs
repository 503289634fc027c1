//! When what happened to a job, kept with its record. It is for people: nothing is decided by it.
//!
//! Instants are of the time of day, which can be set: two of them may be in the wrong order.

use serde::{Deserialize, Serialize};

/// Most that is kept: a coordinator that is started over and over adopts its jobs each time.
const EVENTS_MAX: usize = 64;

/// Something that happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Happened {
    /// The app gave it to us.
    Claimed,
    /// Its container was created.
    Created,
    /// Its container was started.
    Started,
    /// Its keeper was started on this host.
    OnHost,
    /// Its agent has the job document, and begins.
    Delivered,
    /// A coordinator that was started anew took it up as it stood.
    Adopted,
    /// The same of a job that no agent had yet: the app was asked for it again.
    AskedAgain,
    /// Its agent ended, or could not be started.
    Ended,
    /// The app knows its outcome.
    Reported,
    /// What a later version notes.
    #[serde(other)]
    Other,
}

/// When it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) what: Happened,
    /// In milliseconds since 1970.
    pub(crate) at_millis: u64,
}

/// Events in the order in which they were noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Timeline(Vec<Event>);

impl Timeline {
    /// Notes one more. Of very many adoptions the oldest are left out.
    pub(crate) fn note(&mut self, what: Happened, at_millis: u64) {
        if self.0.len() >= EVENTS_MAX {
            let again =
                |event: &Event| matches!(event.what, Happened::Adopted | Happened::AskedAgain);
            let oldest = self.0.iter().position(again).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push(Event { what, at_millis });
    }

    /// All that are kept.
    pub(crate) fn events(&self) -> &[Event] {
        &self.0
    }

    /// When something happened last, in milliseconds since 1970.
    pub(crate) fn last(&self, what: Happened) -> Option<u64> {
        self.0.iter().rev().find(|event| event.what == what).map(|event| event.at_millis)
    }

    /// When the agent that was started last began, in milliseconds since 1970.
    pub(crate) fn agent_began(&self) -> Option<u64> {
        let begins = |event: &&Event| {
            matches!(event.what, Happened::Started | Happened::OnHost | Happened::Delivered)
        };
        self.0.iter().rev().find(begins).map(|event| event.at_millis)
    }

    /// Whether nothing is known, as of a record of an earlier version.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_taken_up_began_when_it_was_started_last() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.agent_began(), None);
        let all = [
            (Happened::Claimed, 1),
            (Happened::Started, 2),
            (Happened::AskedAgain, 3),
            (Happened::Started, 4),
            (Happened::Adopted, 5),
        ];
        for (what, at) in all {
            timeline.note(what, at);
        }
        assert_eq!(timeline.agent_began(), Some(4));
        timeline.note(Happened::Delivered, 6);
        assert_eq!(timeline.agent_began(), Some(6));
    }

    #[test]
    fn very_many_adoptions_cost_neither_space_nor_the_beginning() {
        let mut timeline = Timeline::default();
        timeline.note(Happened::Claimed, 1);
        for at in 2..1_000 {
            timeline.note(Happened::Adopted, at);
        }
        timeline.note(Happened::Ended, 1_000);
        assert_eq!(timeline.events().len(), EVENTS_MAX);
        assert_eq!(timeline.events()[0].what, Happened::Claimed);
        assert_eq!(timeline.last(Happened::Adopted), Some(999));
        assert_eq!(timeline.last(Happened::Ended), Some(1_000));
    }

    #[test]
    fn what_a_later_version_notes_makes_no_record_unreadable() {
        let text = r#"[{"what":"claimed","at_millis":1},{"what":"beamed_up","at_millis":2}]"#;
        let timeline: Timeline = serde_json::from_str(text).unwrap();
        assert_eq!(timeline.events()[1].what, Happened::Other);
        let again = serde_json::to_string(&timeline).unwrap();
        assert_eq!(serde_json::from_str::<Timeline>(&again).unwrap(), timeline);
    }
}
