//! What a session leaves for one of a later run between two turns, and how it goes on with that.

use api_client::error_chain;

use super::Session;
use crate::prompt::{self, Template};
use crate::publish::{self, Snapshot};
use crate::report::Step;
use crate::run::progress::Progress;
use crate::run::stage::{Point, Stage};
use crate::worker::SessionError;

impl Session<'_> {
    /// Keeps where the session is, for a run that goes on from there: `stage` is what comes next, and `before` a
    /// state of the work tree that it asks about.
    pub(in crate::run) async fn keep(
        &self,
        stage: Stage,
        before: Option<Snapshot>,
        progress: &mut Progress,
    ) {
        if !progress.keeper.is_on() {
            return;
        }
        if let Some(spending) = &self.spending {
            spending.note().await;
        }
        let tree = publish::pack_tree(&self.job.git, self.checkout, before, &progress.by_products);
        let tree = match tree.await {
            Ok(tree) => tree,
            // What is there is told by what is saved of it.
            Err(_) if self.job.is_cancelled() => return,
            Err(error) => return progress.keeper.not_kept(&error_chain(&error)),
        };
        let session = self.worker.keep_session().await.inspect_err(|error| {
            tracing::info!("the coding CLI's session is not kept: {}", error_chain(error));
        });
        let point = Point {
            stage,
            begun: self.begun,
            turns: self.turns,
            answer: progress.answer.clone(),
            words: progress.words.clone(),
            latest: progress.latest.clone(),
            learnt: progress.learnt.clone(),
            question: progress.question.clone(),
            unchanged: progress.unchanged,
            by_products: progress.by_products.clone(),
            told: self.job.course().told(),
        };
        progress.keeper.keep(self.checkout, point, tree, session.ok()).await;
    }

    /// Goes on at a point of an earlier run, with the coding CLI's session where that can be; else the work is told
    /// to a new one. What comes next.
    pub(super) async fn go_on(&mut self, point: Point, progress: &mut Progress) -> Stage {
        let turn = point.begun + 1;
        (self.begun, self.turns) = (point.begun, point.turns);
        self.job.course().note(|record| record.resumed_at_turn = Some(turn));
        let summary = format!(
            "An earlier try of this ticket was ended; the work goes on at turn {turn} of the worker"
        );
        let why = match progress.keeper.session() {
            Some((kept, archive)) => self.worker.take_session(kept, &archive).await.err(),
            None => Some(SessionError::Missing),
        };
        if let Some(why) = &why {
            tracing::warn!("the coding CLI begins a new session: {}", error_chain(why));
            let task = self.job.assignment.task();
            self.preface =
                prompt::gone_on(&self.job.prompts, &task, point.stage.plan(), &point.words);
        } else {
            self.preface = self.job.prompts.fill(Template::Resumed, &[]) + "\n";
        }
        let why =
            why.map(|why| format!("The coding CLI begins a new session: {}", error_chain(&why)));
        self.reporter.step(Step::Resumed, &summary, why.as_deref()).await;
        point.stage
    }
}
