//! The turns of a session without a Director: check and proof of delivery decide.

use api_client::outcome::CheckKind;

use super::{Checked, Session};
use crate::outcome::RunError;
use crate::prompt;
use crate::run::progress::Progress;
use crate::run::stage::{Alone, Stage};
use crate::worker::CommandEnd;

/// What follows the check where nobody else has a say.
enum Verdict {
    Over(Checked),
    /// The worker gets this.
    Again(String),
}

impl Session<'_> {
    /// Without a Director: the worker's turn, and the check, and the worker again while that fails and there
    /// are turns left.
    pub(super) async fn alone(
        &mut self,
        mut next: Alone,
        progress: &mut Progress,
    ) -> Result<Checked, RunError> {
        loop {
            next = match next {
                Alone::Work { prompt, turns_left } => {
                    self.execute(prompt, progress).await?;
                    Alone::Check { turns_left }
                }
                Alone::Check { turns_left } => match self.check(turns_left, progress).await? {
                    Verdict::Over(checked) => return Ok(checked),
                    Verdict::Again(prompt) => Alone::Work { prompt, turns_left: turns_left - 1 },
                },
            };
            self.keep(Stage::Alone(next.clone()), None, progress).await;
        }
    }

    /// Runs the check, where there is one and anything to check.
    async fn check(
        &mut self,
        turns_left: u32,
        progress: &mut Progress,
    ) -> Result<Verdict, RunError> {
        let Some(check) = &self.job.project().check else {
            return Ok(Verdict::Over(Checked::Well));
        };
        // What it leaves in the tree is told from the work by this.
        if !self.job.record(self.checkout, progress).await? {
            return Ok(Verdict::Over(Checked::Well));
        }
        let report = self.command(CheckKind::Check, &check.command, progress).await?;
        Ok(match report.end {
            CommandEnd::Exited(0) => Verdict::Over(Checked::Well),
            end if turns_left == 0 => Verdict::Over(Checked::Failed(end)),
            end => {
                let command = &check.command.command;
                Verdict::Again(prompt::check_failed(
                    &self.job.prompts,
                    command,
                    end,
                    &report.output,
                ))
            }
        })
    }
}
