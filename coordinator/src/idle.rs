//! Why nothing is claimed: the conditions that hold claims back, by name, with what mends each. Pure.

use api_client::{ApiError, error_chain};
use serde::{Deserialize, Serialize};

use crate::readiness::NotReady;

/// What holds claims back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    /// The operator wants it so.
    Paused,
    /// The operator wants the coordinator to end.
    Draining,
    /// Every slot is in use.
    SlotsUsed,
    /// The state directory takes no records.
    StateDirectory,
    /// Too little free disk space.
    Disk,
    /// Too many outcomes wait for the app.
    Outbox,
    /// The app has not confirmed the leases of our jobs.
    Leases,
    /// The app gives a job anew that is still held.
    JobHeldStill,
    /// What failed again and again is left alone for a while.
    Breaker,
    /// The forge does not take the GitHub App.
    GithubApp,
    /// The engine does not answer.
    Engine,
    /// Another engine answers than the one that the jobs are on.
    AnotherEngine,
    /// The images of projects cannot be read.
    ProjectImages,
    /// The agent's image is not there.
    Image,
    /// The engine does not give what the Docker mode needs.
    Mode,
    /// The engine's host has no room for one more job just now.
    Room,
    /// The engine's host has no room for such a job at all.
    TooLarge,
    /// Jobs of one project would fail.
    ProjectUnfit,
    /// The app does not answer, or not now.
    AppAway,
    /// The app does not take our key.
    AppKey,
    /// The app refuses to be asked so.
    AppRefuses,
    /// The app's answer cannot be understood.
    AppMalformed,
    /// What a later version knows.
    #[default]
    #[serde(other)]
    Other,
}

/// A condition, with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) condition: Condition,
    pub(crate) text: String,
}

impl Hold {
    /// The operator has paused it.
    pub(crate) fn paused() -> Self {
        let text = "paused: `coordinator resume` goes on".to_owned();
        Self { condition: Condition::Paused, text }
    }

    /// The operator has it finish.
    pub(crate) fn draining() -> Self {
        Self { condition: Condition::Draining, text: "draining".to_owned() }
    }
}

impl From<&NotReady> for Hold {
    fn from(reason: &NotReady) -> Self {
        let condition = match reason {
            NotReady::StateDirectory(_) => Condition::StateDirectory,
            NotReady::Disk { .. } => Condition::Disk,
            NotReady::Outbox { .. } => Condition::Outbox,
            NotReady::Leases => Condition::Leases,
            NotReady::HeldStill { .. } => Condition::JobHeldStill,
            NotReady::Breaker { .. } => Condition::Breaker,
            NotReady::GitHubApp { .. } => Condition::GithubApp,
            NotReady::Engine(_) => Condition::Engine,
            NotReady::AnotherEngine(_) => Condition::AnotherEngine,
            NotReady::ProjectImages(_) => Condition::ProjectImages,
            NotReady::Image(_) => Condition::Image,
            NotReady::Mode { .. } => Condition::Mode,
            NotReady::Room { .. } => Condition::Room,
            NotReady::TooLarge { .. } => Condition::TooLarge,
            NotReady::OfProject { .. } => Condition::ProjectUnfit,
        };
        Self { condition, text: error_chain(reason) }
    }
}

impl From<&ApiError> for Hold {
    fn from(error: &ApiError) -> Self {
        let condition = match error {
            ApiError::Unreachable { .. } | ApiError::Busy { .. } => Condition::AppAway,
            ApiError::Unauthorised { .. } => Condition::AppKey,
            ApiError::Gone { .. } | ApiError::Refused { .. } => Condition::AppRefuses,
            ApiError::Malformed { .. } => Condition::AppMalformed,
        };
        Self { condition, text: error_chain(error) }
    }
}

impl Condition {
    /// What mends it: a command, a setting, or that it passes.
    pub(crate) const fn mended_by(self) -> &'static str {
        match self {
            Self::Paused => "coordinator resume",
            Self::Draining => {
                "nothing, if it is to end; coordinator resume has it claim again, coordinator status \
                 shows the jobs that it waits for"
            }
            Self::SlotsUsed => {
                "it passes when a job ends; more slots: MAX_CONCURRENT_AGENTS, or the app's own setting, \
                 which wins"
            }
            Self::StateDirectory => {
                "make room on the disk of the state directory, and see that it is the coordinator's own"
            }
            Self::Disk => {
                "make room on that disk (coordinator gc, docker system df), or lower DISK_FLOOR_MIB"
            }
            Self::Outbox => {
                "mend what keeps the app from taking outcomes (coordinator status names it), or raise \
                 OUTBOX_MAX"
            }
            Self::Leases => "it passes when the app answers; look at the app and the way to it",
            Self::JobHeldStill => "it passes when the earlier run of that job has ended",
            Self::Breaker => {
                "it is tried again by itself; what failed is in the log, and coordinator check looks at it now"
            }
            Self::GithubApp => {
                "mend the App's id or key, or the forge; coordinator check shows what it says"
            }
            Self::Engine => {
                "start Docker, let the coordinator's user reach its socket (group docker), or mend \
                 DOCKER_HOST"
            }
            Self::AnotherEngine => {
                "point DOCKER_HOST at the engine that the jobs run on, or let them end there first"
            }
            Self::ProjectImages => "mend project_images.json in the state directory",
            Self::Image => "build or pull the image, or mend AGENT_IMAGE",
            Self::Mode => {
                "choose a mode that this engine gives (AGENT_DOCKER_MODE); coordinator check tries it"
            }
            Self::Room => {
                "it passes when a job ends; else make room, or lower the limit that it names"
            }
            Self::TooLarge => {
                "lower the limit that it names: no job of that size fits on this host"
            }
            Self::ProjectUnfit => {
                "mend that project's image or mode, or name the other projects by PROJECT_IDS"
            }
            Self::AppAway => {
                "start the app, or mend the way to it (TERARCHITECT_API_URL, proxy, firewall); it is asked \
                 again by itself"
            }
            Self::AppKey => {
                "give the key that the app has: TERARCHITECT_WORKER_API_KEY, then systemctl restart (agents \
                 go on); reload where it stands in a file of its own"
            }
            Self::AppRefuses => "is TERARCHITECT_API_URL that of the app, and PROJECT_IDS right?",
            Self::AppMalformed => "is TERARCHITECT_API_URL that of the app, and no other server's?",
            Self::Other => "look at the coordinator's log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_of_a_later_version_is_read() {
        let other: Condition = serde_json::from_str("\"mercury_retrograde\"").unwrap();
        assert_eq!(other, Condition::Other);
        let text = serde_json::to_string(&Condition::GithubApp).unwrap();
        assert_eq!(serde_json::from_str::<Condition>(&text).unwrap(), Condition::GithubApp);
    }

    #[test]
    fn what_is_paused_is_mended_by_a_command() {
        let hold = Hold::paused();
        assert_eq!(hold.condition.mended_by(), "coordinator resume");
        let hold = Hold::from(&NotReady::Outbox { waiting: 3, max: 2 });
        assert_eq!(hold.condition, Condition::Outbox);
        assert!(hold.text.contains("3 outcomes wait"), "{}", hold.text);
    }
}
