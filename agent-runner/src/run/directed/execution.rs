//! The work: turns of the worker, each judged on facts, until the ticket is done or something ends it.

use super::super::session::{Checked, Progress, Session};
use super::facts::{CheckSays, Facts, Work};
use super::{Direction, Errand};
use crate::bounded::bounded;
use crate::course::Phase;
use crate::director::{Assessment, Movement, Stagnant, Stagnation, Template};
use crate::outcome::RunError;
use crate::prompt::{self, quoted};
use crate::publish;
use crate::pulse::with_pulse;
use crate::report::Step;

/// How much of the worker's words the Director sees, in bytes.
const WORDS_MAX: usize = 12 << 10;

/// What there is to remember from one turn to the next.
struct Turns {
    stagnation: Stagnation,
    /// Whether another approach was demanded.
    approach: Approach,
    /// Whether the worker was told that nothing is changed.
    empty: Empty,
    /// How often the check may still fail on work that counts as done.
    failures_left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Approach {
    First,
    Changed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Empty {
    NotSaid,
    Said,
}

/// What follows a turn.
enum Next {
    Turn(String),
    Done(Checked),
}

impl Direction<'_> {
    /// Turns, the first of them with this prompt where one is given.
    pub(super) async fn execute(
        &mut self,
        first: Option<String>,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Checked, RunError> {
        let check = session.job.project().check.as_ref();
        let mut turns = Turns {
            stagnation: Stagnation::default(),
            approach: Approach::First,
            empty: match self.errand {
                Errand::Ticket => Empty::NotSaid,
                Errand::Review => Empty::Said,
            },
            failures_left: check.map_or(0, |check| check.turns),
        };
        let start = publish::at_start(&session.job.git, session.checkout).await;
        let mut state = start.map_err(RunError::Commit)?;
        let mut next = first;
        loop {
            let prompt = next.take().unwrap_or_default();
            if !prompt.is_empty() {
                if session.turns() == self.turns() {
                    return Err(RunError::TurnsUsedUp { turns: session.turns() });
                }
                session.execute(prompt.clone(), progress).await?;
            }
            let facts = Facts::gather(session, progress, state).await?;
            state = facts.state;
            let stuck = turns.observe(prompt, &facts);
            // It is asked first: what does not move may be done.
            let assessment = self.assess(&facts, stuck, session, progress).await?;
            match self.next(assessment, &facts, &mut turns, stuck, session, progress)? {
                Next::Turn(prompt) => next = Some(prompt),
                Next::Done(checked) => return Ok(checked),
            }
        }
    }

    /// Has the Director judge a turn.
    async fn assess(
        &mut self,
        facts: &Facts,
        stuck: Option<Stagnant>,
        session: &mut Session<'_>,
        progress: &Progress,
    ) -> Result<Assessment, RunError> {
        let turn = session.turns().saturating_sub(1);
        let notice =
            stuck.map(|what| self.prompts().fill(Template::Stuck, &[("what", what.words())]));
        let or_none = |text: &str| match text.trim() {
            "" => "> (nothing)".to_owned(),
            text => quoted(text),
        };
        let fields = [
            ("turn", session.turns().to_string()),
            ("turns", self.turns().to_string()),
            ("stat", or_none(&facts.all.stat)),
            ("new_stat", or_none(&facts.new.stat)),
            ("diff", or_none(&facts.new.patch)),
            ("check", quoted(&facts.check.words())),
            ("words", or_none(&bounded(&progress.answer, WORDS_MAX))),
            ("notice", notice.unwrap_or_default()),
        ];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let question = self.prompts().fill(Template::Assessment, &fields);
        let assessment = loop {
            let phase = session.job.course().phase(Phase::Director);
            let asked = self.director.assess(question.clone(), session.stop());
            let assessment = Box::pin(with_pulse("a question to the Director", asked)).await;
            drop(phase);
            self.assessments += u32::from(assessment.is_ok());
            self.note(session);
            match assessment {
                Ok(assessment) => break assessment,
                Err(error) => Self::after(error, session).await?,
            }
        };
        let (summary, words) = match &assessment {
            Assessment::Complete { summary } => {
                ("The Director says that the ticket is done", summary)
            }
            Assessment::Continue { prompt } => ("The Director wants more", prompt),
        };
        session.reporter.step(Step::DirectorTurn(turn), summary, Some(words)).await;
        Ok(assessment)
    }

    /// What follows from what the Director says and what the facts allow.
    fn next(
        &self,
        assessment: Assessment,
        facts: &Facts,
        turns: &mut Turns,
        stuck: Option<Stagnant>,
        session: &Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let summary = match assessment {
            Assessment::Continue { prompt } => {
                return Ok(Next::Turn(self.preface(stuck, turns, session)? + &prompt));
            }
            Assessment::Complete { summary } => summary,
        };
        Ok(match (facts.work, &facts.check) {
            (Work::None, _) if turns.empty == Empty::NotSaid => {
                turns.empty = Empty::Said;
                let fields = [("summary", &*quoted(&summary))];
                Next::Turn(self.prompts().fill(Template::NothingChanged, &fields))
            }
            // What a run without any change comes to, the commit says.
            (Work::None, _) => Next::Done(Checked::Well),
            (Work::Some, CheckSays::Failed(report)) if turns.failures_left == 0 => {
                Next::Done(Checked::Failed(report.end))
            }
            (Work::Some, CheckSays::Failed(report)) => {
                turns.failures_left -= 1;
                let command = session.job.project().check.as_ref();
                let command = command.map_or("", |check| check.command.command.as_str());
                let why = prompt::check_failed(command, report.end, &report.output);
                Next::Turn(self.preface(stuck, turns, session)? + &why)
            }
            (Work::Some, CheckSays::Passed | CheckSays::Nothing) => {
                progress.answer = session.job.last_words(&summary);
                Next::Done(Checked::Well)
            }
        })
    }

    /// What is put before a prompt where nothing moves: the demand for another approach, once.
    fn preface(
        &self,
        stuck: Option<Stagnant>,
        turns: &mut Turns,
        session: &Session<'_>,
    ) -> Result<String, RunError> {
        let Some(what) = stuck else { return Ok(String::new()) };
        if turns.approach == Approach::Changed {
            return Err(RunError::Stagnated { what, turns: session.turns() });
        }
        turns.approach = Approach::Changed;
        Ok(self.prompts().fill(Template::ChangeApproach, &[("what", what.words())]))
    }
}

impl Turns {
    /// Takes in a turn; what does not move.
    fn observe(&mut self, prompt: String, facts: &Facts) -> Option<Stagnant> {
        let diff = facts.new.patch.clone();
        self.stagnation.observe(Movement { prompt, diff, error: facts.check.failure() })
    }
}
