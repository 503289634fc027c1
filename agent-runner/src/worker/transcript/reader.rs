//! The turns of a transcript, as far as it is whole.

use super::{Record, TurnBegun, TurnEnded, VERSION};

/// A turn as it was taken down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordedTurn {
    pub(crate) begun: TurnBegun,
    /// What the CLI wrote.
    pub(crate) lines: Vec<String>,
    /// How many lines were left out.
    pub(crate) left_out: u64,
    /// Absent where the run was ended in the middle of it.
    pub(crate) ended: Option<TurnEnded>,
}

/// A transcript cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TranscriptError {
    #[error("line {line} is no record of a transcript")]
    NoRecord {
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "line {line} has version {version} of the format; this agent-runner knows version {VERSION}"
    )]
    Version { line: usize, version: u32 },
    #[error("line {line} belongs to no turn")]
    NoTurn { line: usize },
}

/// The turns of a transcript. A last line that was cut, as a killed run leaves it, is left out.
///
/// # Errors
/// When a line is no record, with its number from 1.
pub(crate) fn turns_of(transcript: &str) -> Result<Vec<RecordedTurn>, TranscriptError> {
    let mut turns: Vec<RecordedTurn> = Vec::new();
    for (at, line) in transcript.split_inclusive('\n').enumerate() {
        let line_number = at + 1;
        let record = match serde_json::from_str(line) {
            Err(_) if !line.ends_with('\n') => break,
            Err(source) => return Err(TranscriptError::NoRecord { line: line_number, source }),
            Ok(record) => record,
        };
        if let Record::Turn(begun) = record {
            if begun.version != VERSION {
                let version = begun.version;
                return Err(TranscriptError::Version { line: line_number, version });
            }
            turns.push(RecordedTurn { begun, lines: Vec::new(), left_out: 0, ended: None });
            continue;
        }
        let open = turns.last_mut().filter(|turn| turn.ended.is_none());
        match (record, open) {
            (Record::Line { text }, Some(turn)) => turn.lines.push(text),
            (Record::Gap { lines, .. }, Some(turn)) => turn.left_out += lines,
            (Record::End(ended), Some(turn)) => turn.ended = Some(*ended),
            (Record::Full, _) | (Record::Turn(_), _) => {}
            (Record::Line { .. } | Record::Gap { .. } | Record::End(_), None) => {
                return Err(TranscriptError::NoTurn { line: line_number });
            }
        }
    }
    Ok(turns)
}
