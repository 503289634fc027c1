//! The outcome as text: redacted, and written so that a reader finds all of it or nothing.

use std::io::{self, Write};
use std::path::Path;

use api_client::outcome::OutcomeDocument;
use serde_json::Value;

use crate::redaction::Redaction;

/// The document without any known secret in any of its texts.
pub(super) fn redacted(outcome: OutcomeDocument, redaction: &Redaction) -> OutcomeDocument {
    // A document of ours has no map with keys that are no text and no number that JSON has not.
    let Ok(mut value) = serde_json::to_value(&outcome) else { return outcome };
    hide(&mut value, redaction);
    serde_json::from_value(value).unwrap_or(outcome)
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

fn hide(value: &mut Value, redaction: &Redaction) {
    match value {
        Value::String(text) => *text = redaction.redact(text),
        Value::Array(all) => all.iter_mut().for_each(|one| hide(one, redaction)),
        Value::Object(fields) => fields.values_mut().for_each(|one| hide(one, redaction)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
