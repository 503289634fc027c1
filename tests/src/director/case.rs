//! The cases: which CLI, and what its Director says.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{budgets, injections, pauses};
use crate::llm::{Rule, Said, Scenario, Script};
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
}

/// A kind of story, by what is looked at when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The Director's answers.
    Answers,
    /// A limit of the job.
    Budget,
    /// A limit of a provider.
    Pause,
    /// A text that gives orders.
    Injection,
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
            _ => Kind::Answers,
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

    /// Its name, for containers and files.
    pub fn name(self) -> String {
        let story = format!("{:?}", self.story).to_lowercase();
        format!("{}-{story}", self.cli.mode())
    }

    /// What the Director says, in its order.
    pub(super) fn director(self) -> Vec<Said> {
        let (approve, reject) = (plan(true), plan(false));
        let (two, three, four) = (next("STEP TWO"), next("STEP THREE"), next("STEP FOUR"));
        let cut = Said::CutOff(r#"{"complete": false, "next_prompt": "Go on wi"#.to_owned());
        let text = r#"{"complete": "false", "summary": "", "next_prompt": "Go on."}"#;
        let prose = format!("I have looked at {{all}} of it. {}\nThat is all.", words(&two));
        match self.story {
            Story::FourTurns => vec![approve, two, three, four, done()],
            Story::PlanMended => vec![reject, approve, done()],
            Story::Prose => vec![approve, Said::Text(prose), done()],
            Story::Fenced => {
                let fenced = format!("```json\n{}\n```", words(&two));
                vec![approve, Said::Text(fenced), done()]
            }
            Story::Truncated => vec![approve, cut, two, done()],
            Story::TextFalse => vec![approve, Said::Text(text.to_owned()), two, done()],
            Story::NullContent => vec![approve, Said::Null, two, done()],
            Story::Limited => {
                let limits = [Said::Limited(1), Said::Limited(1), Said::Limited(1)];
                limits.into_iter().chain([approve, two, done()]).collect()
            }
            Story::Page => vec![approve, Said::Page, two, done()],
            Story::Never => vec![approve, two, Said::Text("It looks good to me.".to_owned())],
            Story::TurnBudget | Story::MoneyBudget | Story::TokenBudget | Story::TimeBudget => {
                budgets::director(self.story)
            }
            Story::PausedWorker | Story::PausedDirector => pauses::director(self.story),
            Story::InjectedTicket
            | Story::InjectedComment
            | Story::InjectedFile
            | Story::InjectedTool => vec![approve, done()],
        }
    }

    /// What both models say of their tokens.
    pub(super) fn counting(self) -> Script {
        match self.story.kind() {
            Kind::Budget => budgets::counting(self.story),
            Kind::Answers | Kind::Pause | Kind::Injection => Script::default(),
        }
    }

    /// The worker's model.
    pub(super) fn worker(self) -> Script {
        match self.story.kind() {
            Kind::Answers => worker(),
            Kind::Budget => budgets::worker(self.story),
            Kind::Pause => pauses::worker(),
            Kind::Injection => injections::worker(self.story),
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
        [readme].into_iter().chain(injections::in_repository(self.story)).collect()
    }

    /// The settings that make the story.
    pub(super) fn settings(self) -> Vec<(&'static str, String)> {
        match self.story.kind() {
            Kind::Budget => budgets::settings(self.story),
            Kind::Answers | Kind::Pause | Kind::Injection => Vec::new(),
        }
    }

    /// The files that are on the remote at the end, beside those of the repository.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self.story {
            Story::FourTurns => &["four.txt", "one.txt", "three.txt", "two.txt"],
            Story::PlanMended => &["one.txt"],
            _ => &["one.txt", "two.txt"],
        }
    }

    /// The turns that do work.
    pub(super) fn turns(self) -> usize {
        self.files().len()
    }
}

/// The worker's model: what it writes goes by the newest prompt, which is in the conversation beside the older
/// ones.
fn worker() -> Script {
    let writes = |prompt: &str, file: &str| rule(prompt, &json!({ "file": file }));
    Script {
        scenario: Scenario::Noop,
        content: "a line\n".to_owned(),
        noop_text: "I have looked around.".to_owned(),
        rules: vec![
            writes("STEP FOUR", "four.txt"),
            writes("STEP THREE", "three.txt"),
            writes("STEP TWO", "two.txt"),
            writes("Now do the work", "one.txt"),
            writes("is not approved yet", PLAN),
            writes("Now write a plan", PLAN),
        ],
        ..Script::default()
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

fn done() -> Said {
    let summary = "The files are there.";
    Said::Text(json!({ "complete": true, "summary": summary, "next_prompt": "" }).to_string())
}

fn words(said: &Said) -> &str {
    match said {
        Said::Text(text) | Said::CutOff(text) => text,
        Said::Null | Said::Limited(_) | Said::Page => "",
    }
}
