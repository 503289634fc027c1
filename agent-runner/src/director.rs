//! The Director: a model that looks at the worker's plan and at its work, and says how it goes on.
//!
//! Invariants: what it is sent is made of named fields, and without any known secret; each call is in the
//! job's account; an answer is one of [`PlanVerdict`] and [`Assessment`] or it is none. What the Director
//! says decides which prompt the worker gets next, and nothing else: it sees no token and runs nothing.

mod answer;
mod breaker;
mod chain;
mod conversation;
mod endpoint;
mod error;
mod extract;
mod stagnation;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub(crate) use self::answer::{Assessment, PlanVerdict};
pub(crate) use self::error::DirectorError;
pub(crate) use self::stagnation::{Movement, Stagnant, Stagnation};

use self::answer::Answer;
use self::chain::Chain;
use self::conversation::{Conversation, Round, tokens_of};
use self::wire::{Message, Question, Role};
use crate::bounded::bounded;
use crate::model_gateway::Account;
use crate::prompt::{Prompts, Template};
use crate::redaction::Redaction;
use crate::settings::DirectorSettings;

/// How often another answer is asked for where one cannot be used.
const REPAIRS: usize = 2;

/// How much of an answer that cannot be used is sent back, in bytes.
const BAD_ANSWER_MAX: usize = 4 << 10;

/// A Director with a task.
#[derive(Debug)]
pub(crate) struct Director {
    chain: Chain,
    prompts: Prompts,
    redaction: Redaction,
    /// What is to be done: in every question, whatever else is left out.
    task: String,
    /// The plan that was decided on, the same.
    plan: String,
    conversation: Conversation,
    output: u32,
}

/// What a Director knows at one moment, so that a later run has one that knows the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memento {
    plan: String,
    rounds: Vec<Round>,
}

impl Memento {
    /// The plan that was decided on, if one was.
    pub(crate) fn plan(&self) -> &str {
        &self.plan
    }
}

impl Director {
    /// A Director of these settings for a task; its calls are entered in `account`.
    ///
    /// # Errors
    /// When a key or the HTTP client cannot be used.
    pub(crate) fn new(
        settings: &DirectorSettings,
        task: String,
        account: Account,
        redaction: Redaction,
        prompts: Prompts,
    ) -> Result<Self, DirectorError> {
        Ok(Self {
            chain: Chain::new(settings, account)?,
            prompts,
            redaction,
            task,
            plan: String::new(),
            conversation: Conversation::within(settings.context.saturating_sub(settings.output)),
            output: settings.output,
        })
    }

    /// The same with what another one knew.
    pub(crate) fn remembering(self, known: Memento) -> Self {
        let conversation = self.conversation.with(known.rounds);
        Self { plan: known.plan, conversation, ..self }
    }

    /// What it knows.
    pub(crate) fn memento(&self) -> Memento {
        Memento { plan: self.plan.clone(), rounds: self.conversation.rounds().to_vec() }
    }

    /// What is said to the worker and to the Director.
    pub(crate) const fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// The model that answered last, else the one that is asked first.
    pub(crate) fn model(&self) -> &str {
        self.chain.model()
    }

    /// Has a look at a plan; `question` is a filled [`Template::PlanReview`].
    ///
    /// # Errors
    /// When no answer is to be had that can be used, or the budget is used up.
    pub(crate) async fn review_plan(
        &mut self,
        question: String,
        stop: &CancellationToken,
    ) -> Result<PlanVerdict, DirectorError> {
        self.ask(question, stop).await
    }

    /// Pins the plan that the work follows. What was said about it is over.
    pub(crate) fn follow(&mut self, plan: String) {
        self.plan = plan;
        self.conversation.clear();
    }

    /// Judges a turn of the worker; `question` is a filled [`Template::Assessment`].
    ///
    /// # Errors
    /// See [`review_plan`](Self::review_plan).
    pub(crate) async fn assess(
        &mut self,
        question: String,
        stop: &CancellationToken,
    ) -> Result<Assessment, DirectorError> {
        self.ask(question, stop).await
    }

    /// Asks until there is an answer of this kind; what could not be used is no part of the conversation.
    async fn ask<A: Answer>(
        &mut self,
        question: String,
        stop: &CancellationToken,
    ) -> Result<A, DirectorError> {
        let system = self.redaction.redact(&self.system());
        let question = self.redaction.redact(&question);
        let mut messages = self.conversation.messages(tokens_of(&system), &question);
        let mut repairs = 0;
        loop {
            let asked = Question {
                system: &system,
                messages: &messages,
                schema: A::schema(),
                output: self.output,
            };
            let said = self.chain.ask(&asked, stop).await?;
            let fault = match said.text().and_then(A::read) {
                Ok(answer) => {
                    let text = said.text().map(str::to_owned).unwrap_or_default();
                    let answered = self.redaction.redact(&text);
                    let round = Round { brief: answer.brief(), asked: question, answered };
                    self.conversation.add(round);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            tracing::warn!(%fault, repairs, "an answer of the Director cannot be used");
            if repairs == REPAIRS {
                return Err(DirectorError::Unusable { repairs, fault });
            }
            repairs += 1;
            messages.extend(self.repair(&said, &fault));
        }
    }

    /// The answer that cannot be used, and the request for another one.
    fn repair(&self, said: &wire::Said, fault: &answer::Fault) -> Vec<Message> {
        let given = said.words().filter(|text| !text.trim().is_empty());
        let given = given.map(|text| {
            let text = self.redaction.redact(text);
            Message { role: Role::Director, text: bounded(&text, BAD_ANSWER_MAX) }
        });
        let wanted = self.prompts.fill(Template::Repair, &[("error", &fault.to_string())]);
        given.into_iter().chain([Message { role: Role::Runner, text: wanted }]).collect()
    }

    fn system(&self) -> String {
        let plan = match self.plan.trim() {
            "" => "(There is none.)".to_owned(),
            plan => crate::prompt::quoted(plan),
        };
        let task = crate::prompt::quoted(&self.task);
        self.prompts.fill(Template::Director, &[("task", &task), ("plan", &plan)])
    }
}
