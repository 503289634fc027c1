//! When follow-up tickets are asked for, noted and proposed.

use api_client::error_chain;
use api_client::wire::{FollowUp, OFFERS_FOLLOW_UPS, WorkerContext};

use super::job::Job;
use crate::course::Course;
use crate::follow_up::taken_apart;
use crate::prompt::{Assignment, Prompts, Template};
use crate::report::{Reporter, Step};

/// Has the worker told that it may propose tickets, where the app takes them.
pub(super) fn offer(
    context: &WorkerContext,
    prompts: &Prompts,
    assignment: &mut Assignment,
    course: &Course,
) {
    if context.offers.iter().any(|offer| offer == OFFERS_FOLLOW_UPS) {
        assignment.add_background(&format!("\n{}", prompts.fill(Template::FollowUps, &[])));
        course.expect_follow_ups();
    }
}

/// Proposes what was noted; a failure is a warning.
pub(super) async fn propose(course: &Course, reporter: &Reporter) {
    let proposals = course.follow_ups();
    if proposals.is_empty() {
        return;
    }
    match reporter.propose(&proposals).await {
        Ok(proposed) => {
            let (added, known) = (proposed.created.len(), proposed.known);
            let summary = format!("Follow-up tickets in the backlog: {added} new, {known} known");
            let titles: Vec<_> = proposals.iter().map(|one| one.title.as_str()).collect();
            reporter.step(Step::FollowUps, &summary, Some(&titles.join("\n"))).await;
        }
        Err(error) => {
            let why = error_chain(&error);
            course.warn(format!("follow-up tickets could not be proposed: {why}"));
        }
    }
}

impl Job {
    /// Last words of a worker or a Director, for people: without what must not be published, and without
    /// the tickets that they propose, which are noted.
    pub(super) fn last_words(&self, text: &str) -> String {
        if !self.course().expects_follow_ups() {
            return self.cleaned(text);
        }
        let words = taken_apart(text);
        if !words.proposals.is_empty() {
            let clean = |one: FollowUp| FollowUp {
                title: self.cleaned(&one.title),
                text: self.cleaned(&one.text),
            };
            self.course().note_follow_ups(words.proposals.into_iter().map(clean).collect());
        }
        self.cleaned(&words.text)
    }
}
