//! The run under a Director: the worker looks around and plans, the Director approves the plan, and then there
//! are turns until the Director says that the ticket is done and the facts agree.
//!
//! Invariant: the Director chooses prompts. Whether there is work and whether the check passes is for git and
//! the check to say, whatever it says.

mod execution;
mod facts;
mod planning;

use api_client::outcome::{DirectorFacts, PlanOutcome, TokenFacts};

use super::job::earlier;
use super::session::{Checked, Progress, Session};
use crate::director::{Director, DirectorError, Prompts, Template};
use crate::model_gateway::{DirectorTotals, Usd};
use crate::outcome::RunError;
use crate::prompt::{self, RULES};
use crate::report::{Step, WorkerStage};
use crate::settings::DirectorSettings;

/// A Director at work.
struct Direction<'d> {
    director: Director,
    settings: &'d DirectorSettings,
    /// What the turns are for.
    errand: Errand,
    /// What the plan came to, where there is one.
    plan: Option<PlanOutcome>,
    assessments: u32,
}

/// What a Director directs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    /// The work on a ticket: it changes something.
    Ticket,
    /// The answers to a review, which may be words alone.
    Review,
}

/// Does the ticket's work by turns that a Director decides on.
pub(super) async fn work(
    session: &mut Session<'_>,
    settings: &DirectorSettings,
    progress: &mut Progress,
) -> Result<Checked, RunError> {
    let task = session.job.assignment.task();
    let mut direction = Direction::new(session, settings, Errand::Ticket, task)?;
    direction.note(session);
    let done = direction.work(session, progress).await;
    direction.note(session);
    done
}

/// Answers a review by turns that a Director decides on, from the second on: the first has this prompt, the Director
/// this task. There is no plan.
pub(super) async fn answer(
    session: &mut Session<'_>,
    settings: &DirectorSettings,
    (task, prompt): (String, String),
    progress: &mut Progress,
) -> Result<Checked, RunError> {
    let mut direction = Direction::new(session, settings, Errand::Review, task)?;
    direction.note(session);
    let done = direction.execute(Some(prompt), session, progress).await;
    direction.note(session);
    done
}

impl<'d> Direction<'d> {
    fn new(
        session: &Session<'_>,
        settings: &'d DirectorSettings,
        errand: Errand,
        task: String,
    ) -> Result<Self, RunError> {
        let redaction = session.job.redaction.clone();
        let director = Director::new(settings, task, session.account(), redaction)?;
        Ok(Self { director, settings, errand, plan: None, assessments: 0 })
    }

    /// How many turns there may be.
    const fn turns(&self) -> u32 {
        match self.errand {
            Errand::Ticket => self.settings.turns,
            Errand::Review => self.settings.review_turns,
        }
    }

    async fn work(
        &mut self,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Checked, RunError> {
        let first = match session.job.assignment.sets_project_up() {
            true => self.set_up(session, progress).await?,
            false => Some(self.plan(session, progress).await?),
        };
        self.execute(first, session, progress).await
    }

    /// A ticket that sets a project up needs no plan. What there is to say after it, the Director says.
    async fn set_up(
        &self,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Option<String>, RunError> {
        let summary = "The ticket sets the project up: there is no plan to look at";
        session.reporter.step(Step::ProjectSetUp, summary, None).await;
        let prompt = self.first_prompt(Template::SetUp, session);
        session.turn(WorkerStage::SetUp, prompt, progress).await?;
        Ok(None)
    }

    /// Waits where that is what the Director's model needs; else it is the end of the run.
    async fn after(error: DirectorError, session: &mut Session<'_>) -> Result<(), RunError> {
        let DirectorError::Limited { wait, .. } = &error else { return Err(error.into()) };
        session.pause(error.to_string(), *wait).await
    }

    const fn prompts(&self) -> &Prompts {
        self.director.prompts()
    }

    /// A prompt with which a session of the worker begins.
    fn first_prompt(&self, template: Template, session: &Session<'_>) -> String {
        let (job, checkout) = (session.job, session.checkout);
        let instructions = prompt::instructions(checkout.path(), &job.redaction);
        let fields = [
            ("task", job.assignment.task()),
            ("instructions", prompt::quoted_instructions(&instructions)),
            ("rules", RULES.to_owned()),
        ];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.prompts().fill(template, &fields) + earlier(checkout)
    }

    /// Notes what the Director did so far.
    fn note(&self, session: &Session<'_>) {
        let DirectorTotals { calls, tokens, cost } = session.account().of_director();
        let facts = DirectorFacts {
            model: self.director.model().to_owned(),
            calls,
            tokens: TokenFacts {
                input: tokens.input.saturating_sub(tokens.cached),
                cached: tokens.cached,
                output: tokens.output,
            },
            money_usd: cost.map(Usd::dollars),
            plan: self.plan,
            assessments: self.assessments,
        };
        session.job.course().note(|record| record.director = Some(facts));
    }
}
