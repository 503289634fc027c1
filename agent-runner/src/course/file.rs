//! The outcome as text: redacted, bounded, and written so that a reader finds all of it or nothing.
//!
//! Invariant: it is never longer than what is collected, however long the words of workers and the names of
//! files are; where the work is stays as it is.

use std::io::{self, Write};
use std::path::Path;

use api_client::outcome::{OUTCOME_MAX_BYTES, OutcomeDocument};
use serde_json::Value;

use crate::bounded::bounded;
use crate::redaction::Redaction;

/// Longest text of a field, in bytes, the first that brings the whole within its limit. With the last of
/// them the longest lists are, with all that JSON adds.
const TEXT_MAX: [usize; 3] = [8 << 10, 1 << 10, 100];
/// What has no words of others in it, and must not be cut.
const WHOLE: [&str; 2] = ["rescue", "pull_request"];

/// The document without any known secret in any of its texts.
pub(super) fn redacted(outcome: OutcomeDocument, redaction: &Redaction) -> OutcomeDocument {
    // A document of ours has no map with keys that are no text and no number that JSON has not.
    let Ok(mut value) = serde_json::to_value(&outcome) else { return outcome };
    hide(&mut value, redaction);
    serde_json::from_value(value).unwrap_or(outcome)
}

/// The document with texts that are short enough for it to be collected.
pub(super) fn within_limit(outcome: OutcomeDocument) -> OutcomeDocument {
    let Ok(value) = serde_json::to_value(&outcome) else { return outcome };
    for most in TEXT_MAX {
        let mut value = value.clone();
        cut(&mut value, most);
        let Ok(shorter) = serde_json::from_value(value) else { continue };
        if text(&shorter).len() <= OUTCOME_MAX_BYTES {
            return shorter;
        }
    }
    outcome
}

/// As one JSON object over several lines.
pub(super) fn text(outcome: &OutcomeDocument) -> String {
    let mut text = serde_json::to_string_pretty(outcome).unwrap_or_default();
    text.push('\n');
    text
}

/// Puts the document where the file is, as a whole.
pub(super) fn write(file: &Path, outcome: &OutcomeDocument) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".outcome-").tempfile_in(folder)?;
    temporary.write_all(text(outcome).as_bytes())?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map(drop).map_err(|error| error.error)
}

fn cut(value: &mut Value, most: usize) {
    match value {
        Value::String(text) => *text = bounded(text, most),
        Value::Array(all) => all.iter_mut().for_each(|one| cut(one, most)),
        Value::Object(fields) => {
            let fields = fields.iter_mut().filter(|(name, _)| !WHOLE.contains(&name.as_str()));
            fields.for_each(|(_, one)| cut(one, most));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide(value: &mut Value, redaction: &Redaction) {
    match value {
        Value::String(text) => *text = redaction.redact(text),
        Value::Array(all) => all.iter_mut().for_each(|one| hide(one, redaction)),
        Value::Object(fields) => fields.values_mut().for_each(|one| hide(one, redaction)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
