//! What happens in a scene while the coordinator is killed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::course::Kill;
use super::point::{EventName, Moment, Point, Side};

/// The course of the jobs of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// One job, whose agent ends well in its container.
    Completes,
    /// One job, whose agent fails in its container.
    Fails,
    /// One job, whose agent ends well on the host.
    Host,
    /// One job, whose container is left by a first kill and taken up again.
    Adopted,
    /// The same with an agent on the host.
    HostAdopted,
    /// One job, of which a first kill leaves a container that was not started.
    Resumed,
    /// One job, whose outcome a first kill leaves unreported.
    Unreported,
    /// Two jobs at once, in containers.
    Two,
    /// One job, whose agent has a gateway beside its container.
    Guarded,
}

/// How the app talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// As ours does, with claim ids and leases.
    Ours,
    /// As the original does.
    Original,
}

/// A scenario with an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting {
    /// How the app talks.
    pub dialect: Dialect,
    /// What happens.
    pub scenario: Scenario,
}

/// The exit code of an agent that fails.
const FAILURE: u8 = 4;

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Completes,
        Self::Fails,
        Self::Host,
        Self::Adopted,
        Self::HostAdopted,
        Self::Resumed,
        Self::Unreported,
        Self::Two,
        Self::Guarded,
    ];

    /// How many jobs it has.
    pub(super) const fn jobs(self) -> usize {
        if matches!(self, Self::Two) { 2 } else { 1 }
    }

    /// How its agents reach this host.
    pub(super) const fn host(self) -> &'static str {
        if matches!(self, Self::Guarded) { "host.docker.internal" } else { "127.0.0.1" }
    }

    /// Whether the agents run on the host.
    pub(super) const fn on_host(self) -> bool {
        matches!(self, Self::Host | Self::HostAdopted)
    }

    /// The kill that comes before those of interest.
    pub(super) fn first_kill(self) -> Option<Kill> {
        let at = |side, what: &str, moment| {
            let name = EventName { side, what: what.to_owned() };
            Some(Kill::At(Point { name, nth: 1, moment }))
        };
        match self {
            Self::Completes | Self::Fails | Self::Host | Self::Two | Self::Guarded => None,
            Self::Adopted | Self::HostAdopted => Some(Kill::AgentsAtWork),
            Self::Resumed => at(Side::Engine, "POST /containers/create", Moment::After),
            Self::Unreported => at(Side::App, "POST /api/worker/jobs/{}/complete", Moment::Before),
        }
    }

    /// The exit code of its agents.
    pub(super) const fn exit_code(self) -> u8 {
        if matches!(self, Self::Fails) { FAILURE } else { 0 }
    }

    /// How its agents say, in containers, that they leave nothing in their ticket's volume.
    pub(super) fn outcome_script(self) -> String {
        let (verdict, cause) = match self.exit_code() {
            0 => ("delivered", "delivered"),
            _ => ("failed", "worker_failed"),
        };
        let outcome = json!({
            "version": 1, "verdict": verdict, "cause": cause, "summary": "over", "runner_version": "0",
            "state_kept": false,
        });
        let outcome = STANDARD.encode(outcome.to_string());
        format!("[ -z $AGENT_STATE_DIR ] || echo {outcome} | base64 -d >$AGENT_OUTCOME_FILE")
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Completes => "completes",
            Self::Fails => "fails",
            Self::Host => "host",
            Self::Adopted => "adopted",
            Self::HostAdopted => "host-adopted",
            Self::Resumed => "resumed",
            Self::Unreported => "unreported",
            Self::Two => "two",
            Self::Guarded => "guarded",
        }
    }
}

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Original];

    const fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Original => "original",
        }
    }
}

impl Setting {
    /// Every scenario with every app.
    pub fn all() -> impl Iterator<Item = Self> {
        Dialect::ALL.into_iter().flat_map(|dialect| {
            Scenario::ALL.into_iter().map(move |scenario| Self { dialect, scenario })
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.dialect.word(), self.scenario.word())
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known =
            || Self::all().map(|setting| setting.to_string()).collect::<Vec<_>>().join(", ");
        let found = Self::all().find(|setting| setting.to_string() == text);
        found.ok_or_else(|| format!("no such scene; there are {}", known()))
    }
}
