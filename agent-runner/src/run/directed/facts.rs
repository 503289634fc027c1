//! What can be known of a turn without asking anyone who took part in it.

use api_client::outcome::CheckKind;

use super::super::progress::Progress;
use super::super::session::Session;
use crate::bounded::bounded;
use crate::course::Phase;
use crate::outcome::RunError;
use crate::publish::{self, Changes, Since, Snapshot};
use crate::worker::{CommandEnd, CommandReport};

/// How much of a turn's changes the Director sees, in bytes, and of what the check wrote.
const DIFF_MAX: usize = 24 << 10;
const CHECK_MAX: usize = 8 << 10;

/// What git and the repository's check say after a turn.
pub(super) struct Facts {
    /// What there is now.
    pub(super) state: Snapshot,
    /// Whether anything is.
    pub(super) work: Work,
    /// All changes.
    pub(super) all: Changes,
    /// Those of this turn.
    pub(super) new: Changes,
    /// What the check says.
    pub(super) check: CheckSays,
}

/// Whether there is any work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Some,
    None,
}

/// What the repository's check says.
pub(super) enum CheckSays {
    /// There is none, or nothing to check.
    Nothing,
    /// It passed.
    Passed,
    /// It failed.
    Failed(CommandReport),
}

impl Facts {
    /// Looks at what is different and runs the check; `before` is the state after the turn before. Nothing is
    /// committed: what a later turn takes back was never there.
    pub(super) async fn gather(
        session: &mut Session<'_>,
        progress: &mut Progress,
        before: Snapshot,
    ) -> Result<Self, RunError> {
        let (job, checkout) = (session.job, session.checkout);
        let phase = job.course().phase(Phase::Commit);
        let state = publish::staged(&job.git, checkout, &progress.by_products).await;
        let state = state.map_err(RunError::Commit)?;
        let changes = |since, max| publish::changes(&job.git, checkout, since, state, max);
        let all = changes(Since::Base, 0).await.map_err(RunError::Commit)?;
        // More than is shown, so that a secret at a cut is whole when it is looked for.
        let new = changes(Since::State(before), 2 * DIFF_MAX).await.map_err(RunError::Commit)?;
        let new = Changes { patch: bounded(&job.redacted(&new.patch), DIFF_MAX), ..new };
        let none = publish::without_work(&job.git, checkout).await.map_err(RunError::Commit)?;
        drop(phase);
        let work = if state == none { Work::None } else { Work::Some };
        let check = match &job.project().check {
            Some(check) if work == Work::Some => {
                let report = session.command(CheckKind::Check, &check.command, progress).await?;
                match report.end {
                    CommandEnd::Exited(0) => CheckSays::Passed,
                    _ => CheckSays::Failed(report),
                }
            }
            Some(_) | None => CheckSays::Nothing,
        };
        Ok(Self { state, work, all, new, check })
    }
}

impl CheckSays {
    /// In words, with the end of what it wrote.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Nothing => "(There is none, or there is nothing to check.)".to_owned(),
            Self::Passed => "It passed.".to_owned(),
            Self::Failed(report) => {
                format!("It failed ({}):\n{}", report.end, bounded(&report.output, CHECK_MAX))
            }
        }
    }

    /// How it failed, to be compared.
    pub(super) fn failure(&self) -> Option<String> {
        match self {
            Self::Failed(report) => Some(steady(&format!("{}\n{}", report.end, report.output))),
            Self::Nothing | Self::Passed => None,
        }
    }
}

/// A text without its digits: times and counters are different in every run of the same failure.
fn steady(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
