//! The work: turns of the worker, each judged on facts, until the ticket is done or something ends it.

use super::super::progress::{Progress, Unchanged};
use super::super::session::{Checked, Session};
use super::facts::{CheckSays, Facts, Work};
use super::planning::plan_file;
use super::{Approach, Direction, Empty, Errand, Next};
use crate::bounded::bounded;
use crate::course::Phase;
use crate::director::{Assessment, Movement, Stagnant};
use crate::outcome::RunError;
use crate::prompt::{self, Template, quoted};
use crate::pulse::with_pulse;
use crate::report::Step;

/// How much of the worker's words the Director sees, in bytes.
const WORDS_MAX: usize = 12 << 10;

impl Direction<'_> {
    /// A turn of the worker, as long as there are any.
    pub(super) async fn turn(
        &self,
        prompt: String,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        if session.turns() >= self.turns() {
            return Err(RunError::TurnsUsedUp { turns: session.turns() });
        }
        // What is planned is decided; the check is to see the work alone.
        if self.memory.plan.is_some()
            && let Err(error) = plan_file(session).remove()
        {
            tracing::warn!(%error, "the plan is left in the work tree");
        }
        session.execute(prompt.clone(), progress).await?;
        Ok(Next::Judge { prompt })
    }

    /// What becomes of a turn with this prompt.
    pub(super) async fn judge(
        &mut self,
        prompt: String,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let facts = Facts::gather(session, progress, self.memory.before).await?;
        self.memory.before = facts.state;
        let stuck = self.observe(prompt, &facts, &progress.latest);
        // It is asked first: what does not move may be done.
        let assessment = self.assess(&facts, stuck, session, progress).await?;
        self.follows(assessment, &facts, stuck, session, progress)
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
            ("words", or_none(&bounded(&progress.latest, WORDS_MAX))),
            ("notice", notice.unwrap_or_default()),
        ];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let question = self.prompts().fill(self.errand.assessment(), &fields);
        let assessment = loop {
            let phase = session.job.course().phase(Phase::Director);
            let asked = self.director.assess(question.clone(), session.stop());
            let assessment = Box::pin(with_pulse("a question to the Director", asked)).await;
            drop(phase);
            self.memory.assessments += u32::from(assessment.is_ok());
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
    fn follows(
        &mut self,
        assessment: Assessment,
        facts: &Facts,
        stuck: Option<Stagnant>,
        session: &Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let summary = match assessment {
            Assessment::Continue { prompt } => {
                let prompt = self.preface(stuck, session)? + &prompt;
                return Ok(Next::Turn { prompt });
            }
            Assessment::Complete { summary } => summary,
        };
        Ok(match (facts.work, &facts.check) {
            (Work::None, _) if self.memory.empty == Empty::NotSaid => {
                self.memory.empty = Empty::Said;
                let fields = [("summary", &*quoted(&summary))];
                Next::Turn { prompt: self.prompts().fill(Template::NothingChanged, &fields) }
            }
            // What a run without any change comes to, the commit says.
            (Work::None, _) => Next::Over(Checked::Well),
            (Work::Some, CheckSays::Failed(report)) if self.memory.failures_left == 0 => {
                Next::Over(Checked::Failed(report.end))
            }
            (Work::Some, CheckSays::Failed(report)) => {
                self.memory.failures_left -= 1;
                let command = session.job.project().check.as_ref();
                let command = command.map_or("", |check| check.command.command.as_str());
                let why = prompt::check_failed(self.prompts(), command, report.end, &report.output);
                Next::Turn { prompt: self.preface(stuck, session)? + &why }
            }
            (Work::Some, CheckSays::Passed | CheckSays::Nothing) => {
                progress.answer = session.job.last_words(&summary);
                // What an earlier run saved may be all that there is to do.
                progress.unchanged = Unchanged::Done;
                progress.question = None;
                Next::Over(Checked::Well)
            }
        })
    }

    /// What is put before a prompt where nothing moves: the demand for another approach, once.
    fn preface(
        &mut self,
        stuck: Option<Stagnant>,
        session: &Session<'_>,
    ) -> Result<String, RunError> {
        let Some(what) = stuck else { return Ok(String::new()) };
        if self.memory.approach == Approach::Changed {
            return Err(RunError::Stagnated { what, turns: session.turns() });
        }
        self.memory.approach = Approach::Changed;
        Ok(self.prompts().fill(Template::ChangeApproach, &[("what", what.words())]))
    }

    /// Takes in a turn; what does not move.
    fn observe(&mut self, prompt: String, facts: &Facts, words: &str) -> Option<Stagnant> {
        let diff = match self.errand {
            // Words may be all that is asked for: they are what moves.
            Errand::Review if facts.new.patch.is_empty() => words.to_owned(),
            Errand::Ticket | Errand::Checks | Errand::Review => facts.new.patch.clone(),
        };
        self.memory.stagnation.observe(Movement { prompt, diff, error: facts.check.failure() })
    }
}
