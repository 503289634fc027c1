//! What can be cut short, and where: the names of events and their moments.

use std::fmt;

use uuid::Uuid;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The Docker Engine.
    Engine,
    /// The ticket app.
    App,
    /// The state directory.
    Disk,
}

/// A kind of event: the same in every run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName {
    /// Who is asked.
    pub side: Side,
    /// What for, without ids and queries.
    pub what: String,
}

/// When, within an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Nothing of it has reached the other side.
    Before,
    /// A request is with the server, which has not answered yet.
    Sent,
    /// The server has done it and answered; the coordinator has nothing of the answer.
    Unanswered,
    /// The coordinator has the answer (of a stream its beginning); the change is on disk.
    After,
    /// The coordinator has the end of a stream.
    Ended,
}

/// A moment of one event of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// The kind of event.
    pub name: EventName,
    /// Which of those, from 1.
    pub nth: usize,
    /// When.
    pub moment: Moment,
}

impl EventName {
    /// The name of a request; what differs from run to run is left out.
    pub(super) fn of_request(side: Side, method: &str, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let path = path
            .strip_prefix("/v1.")
            .map_or(path, |rest| rest.find('/').map_or(path, |at| &rest[at..]));
        Self { side, what: format!("{method} {}", without_ids(path)) }
    }

    /// The name of a change of a file, which is given as below the state directory.
    pub(super) fn of_change(call: &str, path: &str) -> Self {
        Self { side: Side::Disk, what: format!("{call} {}", without_ids(path)) }
    }

    /// The moments that such an event has.
    pub(super) fn moments(&self) -> &'static [Moment] {
        use Moment::{After, Before, Ended, Sent, Unanswered};
        match self.side {
            Side::Disk => &[Before, After],
            Side::Engine if self.is_stream() => &[Before, Sent, Unanswered, After, Ended],
            Side::Engine | Side::App => &[Before, Sent, Unanswered, After],
        }
    }

    /// Whether the answer goes on while the agent works.
    pub(super) fn is_stream(&self) -> bool {
        let streams = ["/wait", "/logs", "/attach", "/events"];
        self.side == Side::Engine && streams.iter().any(|end| self.what.ends_with(end))
    }

    /// Whether it belongs to every round of questions for a job, whatever the round brings.
    pub(super) fn is_of_every_round(&self) -> bool {
        self.what.ends_with("/_ping")
            || self.what.starts_with("GET /images/")
            || self.what.contains(".probe")
    }

    /// Whether it has the engine make something.
    pub(super) fn is_creation(&self) -> bool {
        let makes = ["POST /containers/create", "POST /networks/create", "POST /volumes/create"];
        self.side == Side::Engine && makes.contains(&self.what.as_str())
    }

    /// Whether it asks the app for a job.
    pub(super) fn is_claim(&self) -> bool {
        self.side == Side::App && self.what == "POST /api/worker/jobs/start"
    }
}

impl Side {
    pub(super) const ALL: [Self; 3] = [Self::Engine, Self::App, Self::Disk];

    const fn word(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::App => "app",
            Self::Disk => "disk",
        }
    }
}

impl Moment {
    pub(super) const ALL: [Self; 5] =
        [Self::Before, Self::Sent, Self::Unanswered, Self::After, Self::Ended];

    const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Sent => "sent",
            Self::Unanswered => "unanswered",
            Self::After => "after",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.side, self.what)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{} {}", self.name, self.nth, self.moment)
    }
}

/// What the names of temporary files begin with; the rest is random.
pub(super) const TEMPORARY: &str = ".tmp";

/// A path in which every id is replaced by `{}`.
fn without_ids(path: &str) -> String {
    let mut shape = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let length = id_length(rest);
        if length > 0 {
            shape.push_str("{}");
            rest = &rest[length..];
        } else {
            shape.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    shape
}

/// How long the id is that a text begins with: a UUID, many hexadecimal digits, or the name of a
/// temporary file.
fn id_length(text: &str) -> usize {
    if let Some(random) = text.strip_prefix(TEMPORARY) {
        let letters = random.bytes().take_while(u8::is_ascii_alphanumeric).count();
        return TEMPORARY.len() + letters;
    }
    if text.get(..36).is_some_and(|part| Uuid::try_parse(part).is_ok()) {
        return 36;
    }
    let digits = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    if digits >= 12 { digits } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_request_is_the_same_in_every_run() {
        let name = |path: &str| EventName::of_request(Side::Engine, "POST", path).to_string();
        let job = Uuid::new_v4();
        assert_eq!(
            name(&format!("/v1.41/containers/terarchitect-{job}/start?a=b")),
            "engine POST /containers/terarchitect-{}/start"
        );
        assert_eq!(
            name(&format!("/containers/{}", "ab12".repeat(16))),
            "engine POST /containers/{}"
        );
        assert_eq!(name("/_ping"), "engine POST /_ping");
        let change = EventName::of_change("rename", &format!("jobs/{job}.json"));
        assert_eq!(change.to_string(), "disk rename jobs/{}.json");
        let change = EventName::of_change("fsync", "jobs/.tmpAb12cD");
        assert_eq!(change.to_string(), "disk fsync jobs/{}");
    }
}
