//! The cases: which CLI, and what its Director says.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{answers, budgets, injections, pauses, review};
use crate::llm::{Rule, Said, Script};
use crate::matrix::Cli;

/// The job of every case: its branch, and with it the name of the plan, follow from that.
pub(super) const JOB: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";
pub(super) const PLAN: &str = "plan/agent-93863a0a_task_plan.md";

/// What the Director says, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Story {
    /// The ticket takes four turns.
    FourTurns,
    /// The plan is rejected and mended.
    PlanMended,
    /// An answer has words around it.
    Prose,
    /// An answer is in a fence.
    Fenced,
    /// An answer is cut off.
    Truncated,
    /// An answer has the text "false" in the place of a boolean.
    TextFalse,
    /// An answer has no content.
    NullContent,
    /// The endpoint answers 429 three times.
    Limited,
    /// The endpoint answers with a page.
    Page,
    /// No answer can be used: the run ends, and the work is saved.
    Never,
    /// The container is killed in each of five turns, and the coordinator runs the ticket again each time.
    Killed,
    /// The job would go on, and has no more turns.
    TurnBudget,
    /// It has no more money.
    MoneyBudget,
    /// It has no more tokens.
    TokenBudget,
    /// It has no more time.
    TimeBudget,
    /// The worker's provider has a limit for hours.
    PausedWorker,
    /// The Director's has.
    PausedDirector,
    /// The ticket says to steal and to push, and the worker obeys.
    InjectedTicket,
    /// A comment that the ticket quotes does.
    InjectedComment,
    /// A file of the repository does.
    InjectedFile,
    /// What a command prints does.
    InjectedTool,
    /// It is a review on GitHub that is answered, by two runs of which the first is killed.
    Review,
    /// One on Gitea.
    ReviewOnGitea,
    /// One on GitLab.
    #[value(name = "review-on-gitlab")]
    ReviewOnGitLab,
}

/// A kind of story, by what is looked at when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The Director's answers.
    Answers,
    /// A container that is killed.
    Killed,
    /// A limit of the job.
    Budget,
    /// A limit of a provider.
    Pause,
    /// A text that gives orders.
    Injection,
    /// What is said of a pull request.
    Review,
}

impl Story {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::TurnBudget | Self::MoneyBudget | Self::TokenBudget | Self::TimeBudget => {
                Kind::Budget
            }
            Self::PausedWorker | Self::PausedDirector => Kind::Pause,
            Self::InjectedTicket
            | Self::InjectedComment
            | Self::InjectedFile
            | Self::InjectedTool => Kind::Injection,
            Self::Review | Self::ReviewOnGitea | Self::ReviewOnGitLab => Kind::Review,
            Self::FourTurns
            | Self::PlanMended
            | Self::Prose
            | Self::Fenced
            | Self::Truncated
            | Self::TextFalse
            | Self::NullContent
            | Self::Limited
            | Self::Page
            | Self::Never => Kind::Answers,
            Self::Killed => Kind::Killed,
        }
    }
}

/// One CLI under one Director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// The CLI.
    pub cli: Cli,
    /// The Director.
    pub story: Story,
}

impl Case {
    /// All stories with both CLIs that work under a Director most.
    pub fn all() -> Vec<Self> {
        let clis = [Cli::OpenCode, Cli::ClaudeCode];
        let of = |cli| Story::value_variants().iter().map(move |&story| Self { cli, story });
        clis.into_iter().flat_map(of).collect()
    }

    /// A few of them: each kind of story, and both CLIs.
    pub fn some() -> Vec<Self> {
        let stories = [
            (Cli::ClaudeCode, Story::Truncated),
            (Cli::ClaudeCode, Story::TokenBudget),
            (Cli::OpenCode, Story::PausedDirector),
            (Cli::OpenCode, Story::InjectedTicket),
            (Cli::ClaudeCode, Story::Review),
            (Cli::ClaudeCode, Story::Killed),
        ];
        stories.map(|(cli, story)| Self { cli, story }).into()
    }

    /// Its name, for containers and files.
    pub fn name(self) -> String {
        let story = format!("{:?}", self.story).to_lowercase();
        format!("{}-{story}", self.cli.mode())
    }

    /// What the Director says, in its order.
    pub(super) fn director(self) -> Vec<Said> {
        match self.story.kind() {
            Kind::Answers | Kind::Killed => answers::director(self.story),
            Kind::Budget => budgets::director(self.story),
            Kind::Pause => pauses::director(self.story),
            Kind::Injection => vec![plan(true), done()],
            Kind::Review => vec![done()],
        }
    }

    /// What both models say of their tokens.
    pub(super) fn counting(self) -> Script {
        match self.story.kind() {
            Kind::Budget => budgets::counting(self.story),
            Kind::Answers | Kind::Killed | Kind::Pause | Kind::Injection | Kind::Review => {
                Script::default()
            }
        }
    }

    /// The worker's model.
    pub(super) fn worker(self) -> Script {
        match self.story.kind() {
            Kind::Answers | Kind::Killed => answers::worker(PLAN),
            Kind::Budget => budgets::worker(self.story),
            Kind::Pause => pauses::worker(),
            Kind::Injection => injections::worker(self.story),
            Kind::Review => review::worker(),
        }
    }

    /// The ticket; its first line is the title. It may hold a secret, `token`, which is not to be handed on.
    pub(super) fn task(self, token: &str) -> String {
        match self.story {
            Story::TimeBudget => format!("{}\n\nThe token is {token}.", budgets::SET_UP),
            story => {
                let said = injections::in_task(story);
                format!("Add some files\n\nAdd them. The token is {token}.{said}")
            }
        }
    }

    /// What the repository has at first.
    pub(super) fn repository(self) -> Vec<(&'static str, &'static str)> {
        let readme = ("README.md", "A repository of the Director's tests.\n");
        let more = [injections::in_repository(self.story), review::in_repository(self.story)];
        [readme].into_iter().chain(more.into_iter().flatten()).collect()
    }

    /// The settings that make the story.
    pub(super) fn settings(self) -> Vec<(&'static str, String)> {
        match self.story.kind() {
            Kind::Budget => budgets::settings(self.story),
            Kind::Pause => pauses::settings(),
            Kind::Answers | Kind::Killed | Kind::Injection | Kind::Review => Vec::new(),
        }
    }
}

/// In a conversation that has this, the worker uses a tool.
pub(super) fn rule(contains: &str, set: &Value) -> Rule {
    let mut set: Map<String, Value> = set.as_object().cloned().unwrap_or_default();
    set.insert("scenario".to_owned(), json!("edit"));
    Rule { contains: contains.to_owned(), set }
}

/// What the Director says of a plan.
pub(super) fn plan(approved: bool) -> Said {
    let feedback = if approved { "" } else { "Name the file." };
    Said::Text(json!({ "plan_approved": approved, "feedback": feedback }).to_string())
}

/// Another turn.
pub(super) fn next(prompt: &str) -> Said {
    let prompt = format!("{prompt}: write the next file.");
    Said::Text(json!({ "complete": false, "summary": "", "next_prompt": prompt }).to_string())
}

/// The end.
pub(super) fn done() -> Said {
    let summary = "The files are there.";
    Said::Text(json!({ "complete": true, "summary": summary, "next_prompt": "" }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_cases_are_of_every_kind_and_with_both_clis() {
        let some = Case::some();
        for kind in
            [Kind::Answers, Kind::Killed, Kind::Budget, Kind::Pause, Kind::Injection, Kind::Review]
        {
            assert!(some.iter().any(|case| case.story.kind() == kind), "{kind:?}");
        }
        for cli in [Cli::OpenCode, Cli::ClaudeCode] {
            assert!(some.iter().any(|case| case.cli == cli), "{cli:?}");
        }
        assert!(some.iter().all(|case| Case::all().contains(case)));
    }
}
