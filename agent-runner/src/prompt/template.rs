//! All that is said to models, the worker's and the Director's: texts with fields, one file each in `prompts/`, which
//! an operator may replace.
//!
//! Invariant: a text has the fields that are listed for it and no others, so that nothing comes into a prompt
//! by its name alone; what is put into a field is not looked through for further ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest file that replaces one of ours, in bytes.
const FILE_MAX: u64 = 64 << 10;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// One of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// To the Director, at the top of each question: who it is, the task, the plan.
    Director,
    /// To the Director: a plan to look at.
    PlanReview,
    /// To the Director: a turn to judge.
    Assessment,
    /// To the Director: a turn that answers a review, to judge.
    AssessmentOfReview,
    /// To the Director: its answer cannot be used.
    Repair,
    /// To the Director, in an assessment: nothing moves.
    Stuck,
    /// To the worker: look around.
    Research,
    /// To the worker: write a plan.
    Plan,
    /// To the worker: mend the plan.
    PlanAgain,
    /// To the worker: follow the plan.
    Execute,
    /// To the worker: set a project up.
    SetUp,
    /// To the worker, before the Director's words: take another way.
    ChangeApproach,
    /// To the worker: nothing is changed.
    NothingChanged,
    /// To the worker, in its first prompt: how it works.
    Rules,
    /// To the worker, where there is no Director: the ticket.
    Ticket,
    /// To the worker: an earlier run's work is there.
    Continued,
    /// To the worker: an earlier run's unfinished work is there.
    Unfinished,
    /// To the worker: its session goes on, on what may be another machine.
    Resumed,
    /// To the worker: a new session goes on with the work of one that is gone.
    GoneOn,
    /// To the worker: the repository's check fails.
    CheckFailed,
    /// To the worker: a review to answer.
    Review,
    /// To the Director, as the task: the same.
    ReviewTask,
    /// To the worker, in a review: checks that fail.
    ReviewChecks,
    /// To the worker, in a review: the form of its last message.
    ReviewEndings,
    /// To the worker: that form was not kept.
    ReviewRepair,
    /// To the worker and the Director: what the project remembers.
    Memory,
    /// To the worker: it may propose tickets.
    FollowUps,
    /// To the worker, where the project has a memory: say what it learnt.
    Learnt,
}

/// A prompt cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromptError {
    /// The file cannot be read.
    #[error("the prompt {} cannot be read; check AGENT_PROMPTS_DIR", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is no text of ours.
    #[error("the prompt {} cannot be used: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// All texts.
#[derive(Clone, Debug)]
pub(crate) struct Prompts(Arc<[String; Template::ALL.len()]>);

impl Template {
    /// All of them, in their order.
    pub(crate) const ALL: [Self; 28] = [
        Self::Director,
        Self::PlanReview,
        Self::Assessment,
        Self::AssessmentOfReview,
        Self::Repair,
        Self::Stuck,
        Self::Research,
        Self::Plan,
        Self::PlanAgain,
        Self::Execute,
        Self::SetUp,
        Self::ChangeApproach,
        Self::NothingChanged,
        Self::Rules,
        Self::Ticket,
        Self::Continued,
        Self::Unfinished,
        Self::Resumed,
        Self::GoneOn,
        Self::CheckFailed,
        Self::Review,
        Self::ReviewTask,
        Self::ReviewChecks,
        Self::ReviewEndings,
        Self::ReviewRepair,
        Self::Memory,
        Self::FollowUps,
        Self::Learnt,
    ];

    /// Its file.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Director => "director.md",
            Self::PlanReview => "plan_review.md",
            Self::Assessment => "assessment.md",
            Self::AssessmentOfReview => "assessment_of_review.md",
            Self::Repair => "repair.md",
            Self::Stuck => "stuck.md",
            Self::Research => "worker_research.md",
            Self::Plan => "worker_plan.md",
            Self::PlanAgain => "worker_plan_again.md",
            Self::Execute => "worker_execute.md",
            Self::SetUp => "worker_setup.md",
            Self::ChangeApproach => "worker_change_approach.md",
            Self::NothingChanged => "worker_nothing_changed.md",
            Self::Rules => "rules.md",
            Self::Ticket => "worker_ticket.md",
            Self::Continued => "worker_continued.md",
            Self::Unfinished => "worker_unfinished.md",
            Self::Resumed => "worker_resumed.md",
            Self::GoneOn => "worker_gone_on.md",
            Self::CheckFailed => "worker_check_failed.md",
            Self::Review => "review.md",
            Self::ReviewTask => "review_task.md",
            Self::ReviewChecks => "review_checks.md",
            Self::ReviewEndings => "review_endings.md",
            Self::ReviewRepair => "review_repair.md",
            Self::Memory => "memory.md",
            Self::FollowUps => "follow_ups.md",
            Self::Learnt => "learnt.md",
        }
    }

    /// Its fields.
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Director => &["task", "plan"],
            Self::PlanReview => &["review", "reviews", "plan", "words"],
            Self::Assessment | Self::AssessmentOfReview => {
                &["turn", "turns", "stat", "new_stat", "diff", "check", "words", "notice"]
            }
            Self::Repair => &["error"],
            Self::Stuck | Self::ChangeApproach => &["what"],
            Self::Research => &["task", "instructions"],
            Self::Plan => &["file"],
            Self::PlanAgain => &["file", "feedback"],
            Self::Execute => &["task", "plan", "rules"],
            Self::SetUp => &["task", "instructions", "rules"],
            Self::NothingChanged => &["summary"],
            Self::Ticket => &["task", "rules", "instructions", "surroundings"],
            Self::GoneOn => &["task", "plan", "words"],
            Self::CheckFailed => &["end", "command", "output"],
            Self::Review => &["number", "threads", "checks", "rules", "endings"],
            Self::ReviewTask => &["number", "threads", "checks"],
            Self::ReviewChecks => &["checks"],
            Self::ReviewRepair => &["fault", "threads", "endings"],
            Self::Memory => &["passages"],
            Self::Rules
            | Self::Continued
            | Self::Unfinished
            | Self::Resumed
            | Self::ReviewEndings
            | Self::FollowUps
            | Self::Learnt => &[],
        }
    }

    const fn ours(self) -> &'static str {
        match self {
            Self::Director => include_str!("../../prompts/director.md"),
            Self::PlanReview => include_str!("../../prompts/plan_review.md"),
            Self::Assessment => include_str!("../../prompts/assessment.md"),
            Self::AssessmentOfReview => include_str!("../../prompts/assessment_of_review.md"),
            Self::Repair => include_str!("../../prompts/repair.md"),
            Self::Stuck => include_str!("../../prompts/stuck.md"),
            Self::Research => include_str!("../../prompts/worker_research.md"),
            Self::Plan => include_str!("../../prompts/worker_plan.md"),
            Self::PlanAgain => include_str!("../../prompts/worker_plan_again.md"),
            Self::Execute => include_str!("../../prompts/worker_execute.md"),
            Self::SetUp => include_str!("../../prompts/worker_setup.md"),
            Self::ChangeApproach => include_str!("../../prompts/worker_change_approach.md"),
            Self::NothingChanged => include_str!("../../prompts/worker_nothing_changed.md"),
            Self::Rules => include_str!("../../prompts/rules.md"),
            Self::Ticket => include_str!("../../prompts/worker_ticket.md"),
            Self::Continued => include_str!("../../prompts/worker_continued.md"),
            Self::Unfinished => include_str!("../../prompts/worker_unfinished.md"),
            Self::Resumed => include_str!("../../prompts/worker_resumed.md"),
            Self::GoneOn => include_str!("../../prompts/worker_gone_on.md"),
            Self::CheckFailed => include_str!("../../prompts/worker_check_failed.md"),
            Self::Review => include_str!("../../prompts/review.md"),
            Self::ReviewTask => include_str!("../../prompts/review_task.md"),
            Self::ReviewChecks => include_str!("../../prompts/review_checks.md"),
            Self::ReviewEndings => include_str!("../../prompts/review_endings.md"),
            Self::ReviewRepair => include_str!("../../prompts/review_repair.md"),
            Self::Memory => include_str!("../../prompts/memory.md"),
            Self::FollowUps => include_str!("../../prompts/follow_ups.md"),
            Self::Learnt => include_str!("../../prompts/learnt.md"),
        }
    }

    /// Why a text cannot be this one.
    fn fault(self, text: &str) -> Option<String> {
        if text.trim().is_empty() {
            return Some("it is empty".to_owned());
        }
        let unknown = fields_in(text).find(|field| !self.fields().contains(field))?;
        let known = self.fields().join(", ");
        Some(format!("it has the field {OPEN}{unknown}{CLOSE}; those of this prompt are {known}"))
    }
}

impl Default for Prompts {
    /// Ours.
    fn default() -> Self {
        Self(Arc::new(Template::ALL.map(|template| template.ours().to_owned())))
    }
}

impl Prompts {
    /// Ours, with those of a folder in the place of the ones that have the same name.
    ///
    /// # Errors
    /// When a file there cannot be used.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, PromptError> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let mut texts = Template::ALL.map(|template| template.ours().to_owned());
        for (template, text) in Template::ALL.into_iter().zip(&mut texts) {
            let path = folder.join(template.file());
            let Some(given) = read(&path)? else { continue };
            if let Some(why) = template.fault(&given) {
                return Err(PromptError::Unusable { path, why });
            }
            *text = given;
        }
        Ok(Self(Arc::new(texts)))
    }

    /// How a worker works.
    pub(crate) fn rules(&self) -> String {
        self.fill(Template::Rules, &[])
    }

    /// A text with its fields filled in.
    pub(crate) fn fill(&self, template: Template, fields: &[(&str, &str)]) -> String {
        let index = Template::ALL.iter().position(|one| *one == template).unwrap_or_default();
        let Some(text) = self.0.get(index) else { return String::new() };
        let mut filled = String::new();
        let mut rest = text.as_str();
        while let Some((before, field, after)) = next_field(rest) {
            filled.push_str(before);
            let value = fields.iter().find(|(name, _)| *name == field);
            filled.push_str(value.map_or("", |(_, value)| value.trim_end()));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

fn fields_in(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, field, after) = next_field(rest)?;
        rest = after;
        Some(field)
    })
}

/// What is before the next field, its name, and what is after it.
fn next_field(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(OPEN)?;
    let (field, after) = rest.split_once(CLOSE)?;
    Some((before, field.trim(), after))
}

fn read(path: &Path) -> Result<Option<String>, PromptError> {
    let failed = |source| PromptError::Read { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(file) if file.len() > FILE_MAX => {
            let why = format!("it is longer than {FILE_MAX} bytes");
            return Err(PromptError::Unusable { path: path.to_owned(), why });
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the filled texts are, as they are meant to be.
    const SNAPSHOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prompts");

    #[test]
    fn every_text_of_ours_has_all_of_its_fields_and_no_others() {
        for template in Template::ALL {
            assert_eq!(template.fault(template.ours()), None, "{}", template.file());
            let used: Vec<&str> = fields_in(template.ours()).collect();
            for field in template.fields() {
                assert!(used.contains(field), "{} does not use {field}", template.file());
            }
        }
    }

    #[test]
    fn every_filled_text_is_as_its_snapshot() {
        let prompts = Prompts::load(None).unwrap();
        for template in Template::ALL {
            let values: Vec<(&str, String)> =
                template.fields().iter().map(|name| (*name, format!("> <{name}>"))).collect();
            let values: Vec<(&str, &str)> =
                values.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let filled = prompts.fill(template, &values);
            let file = Path::new(SNAPSHOTS).join(template.file());
            if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
                fs::write(&file, &filled).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap();
            assert_eq!(filled, expected, "UPDATE_SNAPSHOTS=1 writes {}", file.display());
        }
    }

    #[test]
    fn what_is_put_into_a_field_is_not_looked_through_for_others() {
        let prompts = Prompts::load(None).unwrap();
        let fields = [("task", "{{plan}}"), ("plan", "THE PLAN")];
        let filled = prompts.fill(Template::Director, &fields);
        assert!(filled.contains("{{plan}}") && filled.matches("THE PLAN").count() == 1, "{filled}");
    }

    #[test]
    fn a_folder_replaces_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("repair.md"), "Again, because {{ error }}!").unwrap();
        let prompts = Prompts::load(Some(folder.path())).unwrap();
        assert_eq!(prompts.fill(Template::Repair, &[("error", "x")]), "Again, because x!");
        let ours = Prompts::load(None).unwrap();
        let stuck = |prompts: &Prompts| prompts.fill(Template::Stuck, &[("what", "x")]);
        assert_eq!(stuck(&prompts), stuck(&ours));
    }

    #[test]
    fn a_file_with_an_unknown_field_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("director.md"), "{{task}} {{agent_settings}}").unwrap();
        let error = Prompts::load(Some(folder.path())).unwrap_err().to_string();
        assert!(
            error.contains("{{agent_settings}}; those of this prompt are task, plan"),
            "{error}"
        );
        fs::write(folder.path().join("director.md"), "  ").unwrap();
        assert!(Prompts::load(Some(folder.path())).unwrap_err().to_string().contains("empty"));
    }
}
