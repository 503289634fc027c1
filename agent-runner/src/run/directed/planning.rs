//! Before the work: the worker looks around and writes a plan, the Director looks at it, and it goes back
//! until it is approved or the Director was asked often enough.

use api_client::outcome::PlanOutcome;

use super::super::progress::Progress;
use super::super::session::Session;
use super::plan_file::PlanFile;
use super::{Direction, Next};
use crate::bounded::{beginning, bounded};
use crate::course::Phase;
use crate::director::PlanVerdict;
use crate::outcome::RunError;
use crate::prompt::{self, Template, quoted};
use crate::pulse::with_pulse;
use crate::report::{Step, WorkerStage};

/// Longest plan, in bytes, and how much of the worker's words goes with it.
const PLAN_MAX: usize = 32 << 10;
const WORDS_MAX: usize = 8 << 10;

impl Direction<'_> {
    /// The worker looks around.
    pub(super) async fn research(
        &self,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let file = plan_file(session).path();
        let kept_out = progress.by_products.keep_out(&session.job.git, session.checkout, &file);
        kept_out.await.map_err(RunError::Commit)?;
        let research = self.first_prompt(Template::Research, session);
        session.turn(WorkerStage::Research, research, progress).await?;
        Ok(Next::Plan)
    }

    /// It writes a plan.
    pub(super) async fn plan(
        &self,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let file = plan_file(session);
        let shown = file.path().display().to_string();
        let prompt = self.prompts().fill(Template::Plan, &[("file", &shown)]);
        session.turn(WorkerStage::Plan, prompt, progress).await?;
        Ok(Next::Review { number: 1, plan: plan_of(session, progress, &file) })
    }

    /// It mends the plan, after this review.
    pub(super) async fn plan_again(
        &self,
        number: u32,
        feedback: &str,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<Next, RunError> {
        let file = plan_file(session);
        let shown = file.path().display().to_string();
        let fields = [("file", shown.as_str()), ("feedback", feedback)];
        let prompt = self.prompts().fill(Template::PlanAgain, &fields);
        session.turn(WorkerStage::PlanReview(number - 1), prompt, progress).await?;
        let plan = plan_of(session, progress, &file);
        Ok(Next::Review { number: number + 1, plan })
    }

    /// The Director looks at the plan: it is followed, or goes back.
    pub(super) async fn review(
        &mut self,
        number: u32,
        mut plan: String,
        session: &mut Session<'_>,
        progress: &Progress,
    ) -> Result<Next, RunError> {
        match self.look_at(number, &plan, session, progress).await? {
            PlanVerdict::Approved => {
                self.memory.plan = Some(PlanOutcome::Approved);
                let summary = format!("The plan is approved, at review {number}");
                session.reporter.step(Step::PlanApproved, &summary, Some(&plan)).await;
            }
            PlanVerdict::Rejected { feedback } if number < self.settings.plan_reviews => {
                return Ok(Next::PlanAgain { number, feedback });
            }
            PlanVerdict::Rejected { feedback } => self.flag(session, &mut plan, &feedback).await,
        }
        Ok(Next::Turn { prompt: self.follow(&plan, session) })
    }

    /// Has the Director look at a plan.
    async fn look_at(
        &mut self,
        review: u32,
        plan: &str,
        session: &mut Session<'_>,
        progress: &Progress,
    ) -> Result<PlanVerdict, RunError> {
        let (review, reviews) = (review.to_string(), self.settings.plan_reviews.to_string());
        let (plan, words) = (quoted(plan), quoted(&bounded(&progress.latest, WORDS_MAX)));
        let fields =
            [("review", &*review), ("reviews", &reviews), ("plan", &plan), ("words", &words)];
        let question = self.prompts().fill(Template::PlanReview, &fields);
        loop {
            let phase = session.job.course().phase(Phase::Director);
            let asked = self.director.review_plan(question.clone(), session.stop());
            let verdict = Box::pin(with_pulse("a question to the Director", asked)).await;
            drop(phase);
            self.note(session);
            match verdict {
                Ok(verdict) => return Ok(verdict),
                Err(error) => Self::after(error, session).await?,
            }
        }
    }

    /// The work begins with a plan that nobody approved: whoever looks at the pull request is told, and the
    /// worker has the last objection.
    async fn flag(&mut self, session: &Session<'_>, plan: &mut String, feedback: &str) {
        self.memory.plan = Some(PlanOutcome::NotApproved);
        let reviews = self.settings.plan_reviews;
        let summary =
            format!("The plan was not approved in {reviews} reviews; the work goes on with it");
        session.reporter.step(Step::PlanReviewExhausted, &summary, Some(feedback)).await;
        session.job.course().remark(format!(
            "The Director did not approve the plan in {reviews} reviews: look at whether it does what the \
             ticket asks for"
        ));
        plan.push_str(&format!("\n\n## Open objections to this plan\n\n{feedback}\n"));
    }

    /// Pins the plan; the prompt with which the work begins.
    fn follow(&mut self, plan: &str, session: &Session<'_>) -> String {
        let plan = session.job.redacted(plan);
        self.director.follow(plan.clone());
        let task = session.job.assignment.task();
        let rules = self.prompts().rules();
        let fields = [("task", task.as_str()), ("plan", &plan), ("rules", &rules)];
        self.prompts().fill(Template::Execute, &fields)
    }
}

/// Where the plan is, in the work tree.
pub(super) fn plan_file(session: &Session<'_>) -> PlanFile {
    PlanFile::of(session.checkout.path(), session.checkout.branch().as_str())
}

/// The plan: what is in its file, else the worker's last words.
fn plan_of(session: &Session<'_>, progress: &Progress, file: &PlanFile) -> String {
    // More than is kept, so that a secret at the cut is whole when it is looked for.
    let written = file.read(2 * PLAN_MAX);
    let written = written.unwrap_or_else(|error| {
        tracing::warn!(%error, "the file with the plan cannot be read; the worker's words are taken");
        None
    });
    let written = written.filter(|text| !text.trim().is_empty());
    let plan = written.unwrap_or_else(|| prompt::accomplished(&progress.latest));
    beginning(&session.job.redacted(&plan), PLAN_MAX).to_owned()
}
