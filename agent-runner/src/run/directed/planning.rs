//! Before the work: the worker looks around and writes a plan, the Director looks at it, and it goes back
//! until it is approved or the Director was asked often enough.

use std::path::PathBuf;

use api_client::outcome::PlanOutcome;

use super::super::session::{Progress, Session};
use super::Direction;
use crate::bounded::{beginning, bounded};
use crate::course::Phase;
use crate::director::{PlanVerdict, Template};
use crate::outcome::RunError;
use crate::prompt::{self, RULES, quoted};
use crate::publish;
use crate::pulse::with_pulse;
use crate::report::{Step, WorkerStage};

/// Longest plan, in bytes, and how much of the worker's words goes with it.
const PLAN_MAX: usize = 32 << 10;
const WORDS_MAX: usize = 8 << 10;

impl Direction<'_> {
    /// Comes to a plan; the first prompt of the work.
    pub(super) async fn plan(
        &mut self,
        session: &mut Session<'_>,
        progress: &mut Progress,
    ) -> Result<String, RunError> {
        let file = plan_file(session);
        let (job, checkout) = (session.job, session.checkout);
        let kept_out = progress.by_products.keep_out(&job.git, checkout, &file);
        kept_out.await.map_err(RunError::Commit)?;
        let research = self.first_prompt(Template::Research, session);
        session.turn(WorkerStage::Research, research, progress).await?;
        let shown = file.display().to_string();
        let prompt = self.prompts().fill(Template::Plan, &[("file", &shown)]);
        session.turn(WorkerStage::Plan, prompt, progress).await?;
        let mut plan = plan_of(session, progress, &file).await?;
        for review in 1..=self.settings.plan_reviews {
            let PlanVerdict::Rejected { feedback } =
                self.review(review, &plan, session, progress).await?
            else {
                self.plan = Some(PlanOutcome::Approved);
                let summary = format!("The plan is approved, at review {review}");
                session.reporter.step(Step::PlanApproved, &summary, Some(&plan)).await;
                return Ok(self.follow(&plan, &shown, session));
            };
            if review == self.settings.plan_reviews {
                self.flag(session, &mut plan, &feedback).await;
                break;
            }
            let fields = [("file", shown.as_str()), ("feedback", feedback.as_str())];
            let prompt = self.prompts().fill(Template::PlanAgain, &fields);
            session.turn(WorkerStage::PlanReview(review - 1), prompt, progress).await?;
            plan = plan_of(session, progress, &file).await?;
        }
        Ok(self.follow(&plan, &shown, session))
    }

    /// Has the Director look at a plan.
    async fn review(
        &mut self,
        review: u32,
        plan: &str,
        session: &mut Session<'_>,
        progress: &Progress,
    ) -> Result<PlanVerdict, RunError> {
        let (review, reviews) = (review.to_string(), self.settings.plan_reviews.to_string());
        let (plan, words) = (quoted(plan), quoted(&bounded(&progress.answer, WORDS_MAX)));
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
        self.plan = Some(PlanOutcome::NotApproved);
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
    fn follow(&mut self, plan: &str, file: &str, session: &Session<'_>) -> String {
        let plan = session.job.redacted(plan);
        self.director.follow(plan.clone());
        self.note(session);
        let task = session.job.assignment.task();
        let fields = [("task", task.as_str()), ("plan", &plan), ("file", file), ("rules", RULES)];
        self.prompts().fill(Template::Execute, &fields)
    }
}

/// Where the plan is, in the work tree.
fn plan_file(session: &Session<'_>) -> PathBuf {
    let branch = session.checkout.branch().as_str();
    let id = branch.strip_prefix("ticket-").unwrap_or(branch).replace('/', "-");
    PathBuf::from("plan").join(format!("{id}_task_plan.md"))
}

/// The plan: what is in its file, else the worker's last words.
async fn plan_of(
    session: &Session<'_>,
    progress: &Progress,
    file: &std::path::Path,
) -> Result<String, RunError> {
    let (job, checkout) = (session.job, session.checkout);
    let snapshot = job.snapshot(checkout).await?;
    // More than is kept, so that a secret at the cut is whole when it is looked for.
    let written = publish::file_of(&job.git, checkout, snapshot, file, 2 * PLAN_MAX).await;
    let written = written.map_err(RunError::Commit)?.filter(|text| !text.trim().is_empty());
    let plan = written.unwrap_or_else(|| prompt::accomplished(&progress.answer));
    Ok(beginning(&job.redacted(&plan), PLAN_MAX).to_owned())
}
