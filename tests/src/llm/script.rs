//! The script: what the model answers. The same fields are the JSON of a
//! script file and of `/_test/script`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::sequence::Said;

/// What to answer. Every field has a default; unknown ones are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The kind of answer.
    pub scenario: Scenario,
    /// The status of [`Scenario::Status`], 400 to 599.
    pub status: u16,
    /// Seconds in its `retry-after` header, if any.
    pub retry_after: Option<u32>,
    /// Only the first so many model requests get a failing scenario; then
    /// `edit` applies. Absent: all of them.
    pub fail_first: Option<u64>,
    /// A failing scenario applies once so many tools have answered in the conversation; before that
    /// `edit` does. Absent: from the beginning.
    pub fail_after: Option<u64>,
    /// How long every answer is held back, in milliseconds.
    pub delay_ms: u64,
    /// Tool calls before the final text; `null` never ends. Call *n* writes
    /// `file`, then `file.1`, `file.2`, …
    pub turns: Option<u64>,
    /// The file to write, relative to the client's working directory.
    pub file: String,
    /// What to write into it.
    pub content: String,
    /// Run this with the client's shell tool instead of writing a file.
    pub shell: Option<String>,
    /// The final text.
    pub text: String,
    /// What [`Scenario::Ask`] asks the person.
    pub question: String,
    /// The text of [`Scenario::Noop`].
    pub noop_text: String,
    /// The client's working directory; read from its prompt when absent.
    pub workdir: Option<String>,
    /// Prompt tokens in the usage of each answer, cached ones included.
    pub input_tokens: u64,
    /// Cached ones among them.
    pub cached_tokens: u64,
    /// Completion tokens in the usage of each answer.
    pub output_tokens: u64,
    /// The model names to list.
    pub models: Vec<String>,
    /// The protocols that are spoken, by name; any when empty.
    pub wires: Vec<String>,
    /// The only API key that is accepted; any when absent.
    pub api_key: Option<String>,
    /// Answers in their order, in the place of all others; the last one is given for ever.
    pub sequence: Vec<Said>,
    /// Changes for some conversations; the first rule that fits applies.
    pub rules: Vec<Rule>,
}

/// What kind of answer a model request gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// A tool call that writes the file, then the final text.
    #[default]
    Edit,
    /// The no-op text at once.
    Noop,
    /// An HTTP error in the shape of the wire.
    Status,
    /// No answer until the client leaves or the server stops.
    Hang,
    /// A first fragment, then no more, until the client leaves or the server stops.
    Stall,
    /// A first fragment, then a cut connection.
    Drop,
    /// 200 with a body that is not the protocol.
    Garbage,
    /// A stream of the right kind, whose events are not the protocol.
    GarbageStream,
    /// Well formed, with no content.
    Empty,
    /// A question to the person: by the tool for that, where the client offers one, else as text.
    Ask,
}

/// Other settings for the conversations that contain a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Looked for in the system prompt and all messages.
    pub contains: String,
    /// Fields of [`Script`], other than `rules`.
    pub set: Map<String, Value>,
}

/// Why a script is refused.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A field is unknown or has the wrong type.
    #[error("a field of the script is not valid")]
    Field(#[from] serde_json::Error),
    /// The status would not be an error.
    #[error("status {0} is not between 400 and 599")]
    Status(u16),
    /// A rule that has rules of its own.
    #[error("the rule for {0:?} sets rules, wires or api_key, which hold for all requests")]
    Global(String),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            scenario: Scenario::Edit,
            status: 500,
            retry_after: None,
            fail_first: None,
            fail_after: None,
            delay_ms: 0,
            turns: Some(1),
            file: "hello.txt".to_owned(),
            content: "hello from the scripted model\n".to_owned(),
            shell: None,
            text: "The file is written.".to_owned(),
            question: "Which of the two should I change?".to_owned(),
            noop_text: "There is nothing to change.".to_owned(),
            workdir: None,
            input_tokens: 1000,
            cached_tokens: 200,
            output_tokens: 50,
            models: vec!["scripted-model".to_owned()],
            wires: Vec::new(),
            api_key: None,
            sequence: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Script {
    /// Whether this protocol is spoken.
    pub(super) fn speaks(&self, wire: &str) -> bool {
        self.wires.is_empty() || self.wires.iter().any(|spoken| spoken == wire)
    }

    /// Writes `content` to `file`, then says it is done.
    pub fn edit(file: impl Into<String>, content: impl Into<String>) -> Self {
        Self { file: file.into(), content: content.into(), ..Self::default() }
    }

    /// Runs `command` with the client's shell tool, then says it is done.
    pub fn shell(command: impl Into<String>) -> Self {
        Self { shell: Some(command.into()), ..Self::default() }
    }

    /// The same script with some fields changed.
    pub fn with(&self, changes: &Map<String, Value>) -> Result<Self, ScriptError> {
        let mut fields = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut fields {
            fields.extend(changes.clone());
        }
        Ok(serde_json::from_value(fields)?)
    }

    /// Names the first thing that makes no sense.
    pub fn check(&self) -> Result<(), ScriptError> {
        for rule in &self.rules {
            if ["rules", "api_key", "wires"].iter().any(|name| rule.set.contains_key(*name)) {
                return Err(ScriptError::Global(rule.contains.clone()));
            }
            Self { rules: Vec::new(), ..self.with(&rule.set)? }.check()?;
        }
        if (400..=599).contains(&self.status) {
            Ok(())
        } else {
            Err(ScriptError::Status(self.status))
        }
    }

    /// The script for one request: `text` picks the rule, `number` (from 1)
    /// ends failures, and so many tool `results` begin them.
    pub(super) fn for_request(
        &self,
        text: &str,
        number: u64,
        results: u64,
    ) -> Result<Self, ScriptError> {
        let mut script = match self.rules.iter().find(|rule| text.contains(&rule.contains)) {
            Some(rule) => self.with(&rule.set)?,
            None => self.clone(),
        };
        let over = script.fail_first.is_some_and(|first| number > first);
        let not_yet = script.fail_after.is_some_and(|results_before| results < results_before);
        if (over || not_yet) && script.scenario.is_failure() {
            script.scenario = Scenario::Edit;
        }
        Ok(script)
    }
}

impl Scenario {
    pub(super) fn is_failure(self) -> bool {
        match self {
            Self::Edit | Self::Noop | Self::Ask => false,
            Self::Status
            | Self::Hang
            | Self::Stall
            | Self::Drop
            | Self::Garbage
            | Self::GarbageStream
            | Self::Empty => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn unknown_fields_and_impossible_values_are_refused_by_name() {
        let script = Script::default();
        let unknown = script.with(&map(&json!({"scenari": "edit"}))).unwrap_err();
        assert!(format!("{:?}", unknown).contains("unknown field `scenari`"), "{unknown:?}");
        let status = script.with(&map(&json!({"status": 200}))).unwrap();
        assert!(matches!(status.check(), Err(ScriptError::Status(200))));
        let rules = json!({"rules": [{"contains": "x", "set": {"turn": 1}}]});
        assert!(script.with(&map(&rules)).unwrap().check().is_err());
    }

    #[test]
    fn the_first_rule_that_fits_changes_the_answer() {
        let rules = json!({"turns": null, "rules": [
            {"contains": "ticket 7", "set": {"scenario": "noop"}},
            {"contains": "ticket", "set": {"file": "other"}},
        ]});
        let script = Script::default().with(&map(&rules)).unwrap();
        script.check().unwrap();
        assert_eq!(script.turns, None);
        assert_eq!(script.for_request("do ticket 7", 1, 0).unwrap().scenario, Scenario::Noop);
        assert_eq!(script.for_request("do ticket 8", 1, 0).unwrap().file, "other");
        assert_eq!(script.for_request("do it", 1, 0).unwrap().file, "hello.txt");
    }

    #[test]
    fn failures_end_after_fail_first() {
        let script =
            Script { scenario: Scenario::Status, fail_first: Some(2), ..Script::default() };
        assert_eq!(script.for_request("", 2, 0).unwrap().scenario, Scenario::Status);
        assert_eq!(script.for_request("", 3, 0).unwrap().scenario, Scenario::Edit);
    }

    #[test]
    fn failures_begin_when_enough_tools_have_answered() {
        let script = Script { scenario: Scenario::Hang, fail_after: Some(1), ..Script::default() };
        assert_eq!(script.for_request("", 9, 0).unwrap().scenario, Scenario::Edit);
        assert_eq!(script.for_request("", 9, 1).unwrap().scenario, Scenario::Hang);
    }
}
