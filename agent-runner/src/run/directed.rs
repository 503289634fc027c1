//! The run under a Director: the worker looks around and plans, the Director approves the plan, and then there
//! are turns until the Director says that the ticket is done and the facts agree.
//!
//! Invariant: the Director chooses prompts. Whether there is work and whether the check passes is for git and
//! the check to say, whatever it says.

mod execution;
mod facts;
mod plan_file;
mod planning;

use api_client::outcome::{DirectorFacts, PlanOutcome, TokenFacts};
use serde::{Deserialize, Serialize};

use super::progress::Progress;
use super::session::{Checked, Session};
use super::stage::Stage;
use crate::director::{Director, DirectorError, Memento, Stagnation};
use crate::model_gateway::{DirectorTotals, Usd};
use crate::outcome::RunError;
use crate::prompt::{self, Prompts, Template};
use crate::publish::{self, Snapshot};
use crate::report::{Step, WorkerStage};
use crate::settings::DirectorSettings;

/// A Director at work.
struct Direction<'d> {
    director: Director,
    settings: &'d DirectorSettings,
    /// What the turns are for.
    errand: Errand,
    memory: Memory,
}

/// What there is to remember from one turn to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    /// What the plan came to, where there is one.
    plan: Option<PlanOutcome>,
    assessments: u32,
    stagnation: Stagnation,
    /// Whether another approach was demanded.
    approach: Approach,
    /// Whether the worker was told that nothing is changed.
    empty: Empty,
    /// How often the check may still fail on work that counts as done.
    failures_left: u32,
    /// What there was before the turn that is judged next.
    before: Snapshot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Approach {
    First,
    Changed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Empty {
    NotSaid,
    Said,
}

/// What comes next.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Next {
    /// The worker looks around.
    Research,
    /// It writes a plan.
    Plan,
    /// The Director looks at the plan.
    Review { number: u32, plan: String },
    /// The worker mends it.
    PlanAgain { number: u32, feedback: String },
    /// It sets a project up.
    SetUp,
    /// It does some of the work.
    Turn { prompt: String },
    /// The Director judges what it did with this prompt.
    Judge { prompt: String },
    /// Nothing more.
    Over(Checked),
}

/// A run under a Director between two calls of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    next: Next,
    memory: Memory,
    director: Memento,
}

impl Kept {
    /// The plan that the work follows, once there is one.
    pub(super) fn plan(&self) -> &str {
        self.director.plan()
    }
}

/// What a Director directs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The work on a ticket: it changes something.
    Ticket,
    /// Checks of a pull request that fail, and nothing else: the same.
    Checks,
    /// The answers to a review, which may be words alone.
    Review,
}

impl Errand {
    /// What the Director is asked after a turn.
    const fn assessment(self) -> Template {
        match self {
            Self::Ticket | Self::Checks => Template::Assessment,
            Self::Review => Template::AssessmentOfReview,
        }
    }
}

/// Does the ticket's work by turns that a Director decides on.
pub(super) async fn work(
    session: &mut Session<'_>,
    settings: &DirectorSettings,
    progress: &mut Progress,
) -> Result<Checked, RunError> {
    let (errand, task) = (Errand::Ticket, session.job.assignment.task());
    let first = match session.job.assignment.sets_project_up() {
        true => Next::SetUp,
        false => Next::Research,
    };
    let direction = Direction::new(session, settings, errand, task).await?;
    direction.work(first, session, progress).await
}

/// The same from where an earlier run was.
pub(super) async fn go_on(
    session: &mut Session<'_>,
    settings: &DirectorSettings,
    kept: Kept,
    progress: &mut Progress,
) -> Result<Checked, RunError> {
    let (errand, task) = (Errand::Ticket, session.job.assignment.task());
    let Direction { director, .. } = Direction::new(session, settings, errand, task).await?;
    let director = director.remembering(kept.director);
    let direction = Direction { director, settings, errand, memory: kept.memory };
    direction.work(kept.next, session, progress).await
}

/// Answers a review by turns that a Director decides on, from the second on: the first has this prompt, the Director
/// this task. There is no plan.
pub(super) async fn answer(
    session: &mut Session<'_>,
    settings: &DirectorSettings,
    (errand, task, prompt): (Errand, String, String),
    progress: &mut Progress,
) -> Result<Checked, RunError> {
    let direction = Direction::new(session, settings, errand, task).await?;
    direction.work(Next::Turn { prompt }, session, progress).await
}

impl<'d> Direction<'d> {
    async fn new(
        session: &Session<'_>,
        settings: &'d DirectorSettings,
        errand: Errand,
        task: String,
    ) -> Result<Self, RunError> {
        let redaction = session.job.redaction.clone();
        let prompts = session.job.prompts.clone();
        let director = Director::new(settings, task, session.account(), redaction, prompts)?;
        let before = publish::at_start(&session.job.git, session.checkout).await;
        let check = session.job.project().check.as_ref();
        let memory = Memory {
            plan: None,
            assessments: 0,
            stagnation: Stagnation::default(),
            approach: Approach::First,
            empty: match errand {
                Errand::Ticket | Errand::Checks => Empty::NotSaid,
                Errand::Review => Empty::Said,
            },
            failures_left: check.map_or(0, |check| check.turns),
            before: before.map_err(RunError::Commit)?,
        };
        Ok(Self { director, settings, errand, memory })
    }

    /// How many turns there may be.
    const fn turns(&self) -> u32 {
        match self.errand {
            Errand::Ticket => self.settings.turns,
            Errand::Checks | Errand::Review => self.settings.review_turns,
        }
    }

    /// One step after the other; after each of them, another run could go on from here.
    async fn work(
        mut self,
        mut next: Next,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Checked, RunError> {
        self.note(session);
        loop {
            let stepped = self.step(next, session, progress).await;
            self.note(session);
            next = stepped?;
            if let Next::Over(checked) = next {
                return Ok(checked);
            }
            let (memory, director) = (self.memory.clone(), self.director.memento());
            let before = Some(memory.before);
            let kept = Kept { next: next.clone(), memory, director };
            session.keep(Stage::Directed(Box::new(kept)), before, progress).await;
        }
    }

    /// At most one call of a model: what follows it.
    async fn step(
        &mut self,
        next: Next,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        match next {
            Next::Research => self.research(session, progress).await,
            Next::Plan => self.plan(session, progress).await,
            Next::Review { number, plan } => self.review(number, plan, session, progress).await,
            Next::PlanAgain { number, feedback } => {
                self.plan_again(number, &feedback, session, progress).await
            }
            Next::SetUp => self.set_up(session, progress).await,
            Next::Turn { prompt } => self.turn(prompt, session, progress).await,
            Next::Judge { prompt } => self.judge(prompt, session, progress).await,
            Next::Over(checked) => Ok(Next::Over(checked)),
        }
    }

    /// A ticket that sets a project up needs no plan. What there is to say after it, the Director says.
    async fn set_up(
        &self,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let summary = "The ticket sets the project up: there is no plan to look at";
        session.reporter.step(Step::ProjectSetUp, summary, None).await;
        let prompt = self.first_prompt(Template::SetUp, session);
        session.turn(WorkerStage::SetUp, prompt, progress).await?;
        Ok(Next::Judge { prompt: String::new() })
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
            ("rules", self.prompts().rules()),
        ];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.prompts().fill(template, &fields) + &job.earlier(checkout)
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
            plan: self.memory.plan,
            assessments: self.memory.assessments,
        };
        session.job.course().note(|record| record.director = Some(facts));
    }
}
