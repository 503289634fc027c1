//! Reading an outcome document that whoever was root beside the agent may have written. Pure.

use api_client::JobId;
use api_client::contract::AgentExit;
use api_client::outcome::{
    OUTCOME_MAX_BYTES as DOCUMENT_MAX, OUTCOME_VERSION, OutcomeDocument, Verdict,
};
use serde::Serialize;
use serde_json::Value;
use url::Url;

/// Longest text that is kept of one field, in characters.
const TEXT_MAX_CHARS: usize = 16_000;

/// Most entries of one list that are kept.
const LIST_MAX: usize = 1_000;

/// There is no document, or none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// The agent was killed, or is of an earlier version, or another program.
    #[error("the agent left no outcome document")]
    Missing,
    #[error("the agent's outcome document is larger than {} KiB", DOCUMENT_MAX >> 10)]
    TooLarge,
    #[error("in the place of the agent's outcome document there is something that is no file")]
    NoFile,
    #[error("the agent's outcome document could not be fetched: {0}")]
    NotRead(String),
    #[error("the agent's outcome document cannot be used: {0}")]
    Malformed(String),
}

impl Unusable {
    /// Why a file that an agent left is not taken, whichever that is.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Missing => "there is none".to_owned(),
            Self::TooLarge => "it is larger than any that is taken".to_owned(),
            Self::NoFile => "it is no plain file".to_owned(),
            Self::NotRead(why) | Self::Malformed(why) => why.clone(),
        }
    }
}

/// Reads a document of a job: without secrets, bounded, and harmless to print.
pub(super) fn read(
    bytes: &[u8],
    job: JobId,
    redact: impl Fn(&str) -> String,
) -> Result<OutcomeDocument, Unusable> {
    let malformed = |error: serde_json::Error| Unusable::Malformed(clean(&error.to_string(), 300));
    let document: OutcomeDocument = serde_json::from_slice(bytes).map_err(malformed)?;
    // What it does not know is gone by now. Secrets are looked for in the texts, not in their JSON.
    let mut value = serde_json::to_value(document).map_err(malformed)?;
    // And in what is left of them: a token that is broken up by what is taken out would be whole again.
    each_text(&mut value, &|text| redact(&harmless(text)).chars().take(TEXT_MAX_CHARS).collect());
    let document: OutcomeDocument = serde_json::from_value(value).map_err(malformed)?;
    match wrong(&document, job) {
        None => Ok(document),
        Some(problem) => Err(Unusable::Malformed(problem)),
    }
}

/// What no runner would write.
fn wrong(document: &OutcomeDocument, job: JobId) -> Option<String> {
    if document.version != OUTCOME_VERSION {
        return Some(format!("`version` is {}, not {OUTCOME_VERSION}", document.version));
    }
    if document.job.as_ref().is_some_and(|id| *id != job.to_string()) {
        return Some("`job` is another one".to_owned());
    }
    if let Some(pull) = &document.pull_request {
        if !is_web_page(&pull.url) {
            return Some("`pull_request.url` is no http(s) URL".to_owned());
        }
        if !is_commit(&pull.head) {
            return Some("`pull_request.head` is no commit".to_owned());
        }
    }
    if document.rescue.as_ref().is_some_and(|rescue| !is_commit(&rescue.commit)) {
        return Some("`rescue.commit` is no commit".to_owned());
    }
    None
}

/// Why a document is not to be believed, with what the process ended with.
pub(super) fn contradiction(document: &OutcomeDocument, exit: Option<AgentExit>) -> Option<String> {
    let says = format!("the agent's outcome document says `{}`", word(&document.cause));
    match exit {
        None => Some(format!("{says}, and the agent ended in another way")),
        Some(exit) if exit != document.cause => {
            Some(format!("{says}, and the agent ended with the code of `{}`", word(&exit)))
        }
        Some(_) if !fits(document.verdict, document.cause) => {
            Some(format!("{says}, and calls it `{}`", word(&document.verdict)))
        }
        Some(_) => None,
    }
}

/// What a document has for a value that is one word.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Whether a verdict can have this cause.
fn fits(verdict: Verdict, cause: AgentExit) -> bool {
    match Verdict::decided_by(cause) {
        Some(decided) => verdict == decided,
        None => matches!(verdict, Verdict::Partial | Verdict::Failed),
    }
}

fn is_web_page(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
    })
}

fn is_commit(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(values) => {
            values.truncate(LIST_MAX);
            values.iter_mut().for_each(|value| each_text(value, change));
        }
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| each_text(value, change));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A harmless text, cut after so many characters.
fn clean(text: &str, most: usize) -> String {
    harmless(text).chars().take(most).collect()
}

/// A text without what a terminal obeys, and without what turns the direction of writing.
fn harmless(text: &str) -> String {
    let harmless = |c: &char| matches!(c, '\n' | '\t') || !(c.is_control() || turns(*c));
    text.chars().filter(harmless).collect()
}

const fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as a part of a line, cut after so many characters.
pub(crate) fn on_one_line(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOB: &str = "93863a0a-985e-474b-a6b2-40a89654e6bf";

    fn job() -> JobId {
        JOB.parse().unwrap()
    }

    fn text(more: &str) -> String {
        format!(
            r#"{{"version":1,"verdict":"failed","cause":"worker_failed","summary":"it broke",
                "runner_version":"0.1.0"{more}}}"#
        )
    }

    fn read_text(text: &str) -> Result<OutcomeDocument, Unusable> {
        read(text.as_bytes(), job(), |text| text.replace("ghp_secret_token", "[redacted]"))
    }

    fn problem(more: &str) -> String {
        read_text(&text(more)).unwrap_err().to_string()
    }

    #[test]
    fn a_document_is_kept_without_secrets_and_without_what_a_terminal_obeys() {
        let more = r#","job":"93863a0a-985e-474b-a6b2-40a89654e6bf",
            "turns":[{"ending":"crashed","detail":"\u001b[2Jghp_\u0073ecret_token\u202e\r\n!",
            "millis":1,"tokens":{"input":1,"cached":0,"output":2}}]"#;
        let document = read_text(&text(more)).unwrap();
        assert_eq!(document.turns[0].detail, "[2J[redacted]\n!");
    }

    #[test]
    fn a_secret_that_is_broken_up_by_what_is_taken_out_is_found_all_the_same() {
        let document = read_text(
            &text("").replace("it broke", "a ghp_\\u0007secret_token and ghp_secret\\u202e_token"),
        );
        assert_eq!(document.unwrap().summary, "a [redacted] and [redacted]");
    }

    #[test]
    fn what_no_runner_writes_is_named() {
        assert!(problem(r#","job":"another""#).contains("`job`"));
        for url in ["file:///etc/passwd", "https://u:p@forge.example/1", "no"] {
            let head = "a".repeat(40);
            let pull = format!(r#","pull_request":{{"url":"{url}","number":1,"head":"{head}"}}"#);
            assert!(problem(&pull).contains("`pull_request.url`"), "{url}");
        }
        let rescue = r#","rescue":{"branch":"b","commit":"HEAD"}"#;
        assert!(problem(rescue).contains("`rescue.commit`"));
        let later = text("").replace("\"version\":1", "\"version\":2");
        assert!(read_text(&later).unwrap_err().to_string().contains("`version` is 2"));
        for garbage in ["", "{}", "[]", "null", "{\"version\":1", &"[".repeat(10_000)] {
            assert!(matches!(read_text(garbage), Err(Unusable::Malformed(_))), "{garbage}");
        }
    }

    #[test]
    fn a_document_that_says_otherwise_than_the_exit_code_is_not_believed() {
        let mut document = read_text(&text("")).unwrap();
        assert_eq!(contradiction(&document, Some(AgentExit::WorkerFailed)), None);
        for exit in [Some(AgentExit::Delivered), Some(AgentExit::Cancelled), None] {
            assert!(contradiction(&document, exit).is_some(), "{exit:?}");
        }
        document.verdict = Verdict::Delivered;
        assert!(contradiction(&document, Some(AgentExit::WorkerFailed)).is_some());
    }

    #[test]
    fn every_ending_of_an_agent_has_a_verdict_and_only_one_is_delivered() {
        use Verdict::{Blocked, ChecksFailed, Delivered, Failed, NoChanges, Parked, Partial};
        for cause in AgentExit::ALL {
            let all = [Delivered, NoChanges, ChecksFailed, Partial, Blocked, Parked, Failed];
            assert!(all.into_iter().any(|verdict| fits(verdict, cause)), "{cause:?}");
            assert_eq!(fits(Delivered, cause), cause == AgentExit::Delivered);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_stays_on_its_line_and_within_its_length(text in any::<String>()) {
            let line = on_one_line(&clean(&text, 500), 40);
            prop_assert!(!line.contains('\n'));
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(line.chars().count() <= 41);
        }
    }
}
