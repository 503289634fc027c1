//! What is left of a job, and where.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use api_client::JobId;
use serde::Serialize;

use crate::collect::{on_one_line, transcript_path};
use crate::engine::ContainerRef;
use crate::history::EndedJob;
use crate::ledger::{Record, Runs, Stage};
use crate::output::older;

/// How much of the end of a log is looked at, in bytes.
const TAIL_MAX: u64 = 64 << 10;

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Kept {
    /// What it is.
    pub(crate) what: &'static str,
    /// Where it is.
    pub(crate) place: String,
    /// Its size in bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
}

/// The files of a job in the state directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFiles {
    /// The log, the older part of it, what the coding CLI wrote, and what it came to: those that are there, with their sizes.
    pub(crate) files: Vec<(&'static str, PathBuf, u64)>,
    /// The end of the log.
    pub(crate) tail: String,
}

/// The log of a job: the current file.
pub(crate) fn log_path(state_dir: &Path, job: JobId) -> PathBuf {
    state_dir.join("logs").join(format!("{job}.log"))
}

impl JobFiles {
    /// Those of a job. What is not there, or cannot be read, is left out.
    pub(crate) fn look(state_dir: &Path, job: JobId) -> Self {
        let log = log_path(state_dir, job);
        let outcome = state_dir.join("logs").join(format!("{job}.ended.json"));
        let size = |what, path: PathBuf| {
            let size = fs::metadata(&path).ok()?.len();
            Some((what, path, size))
        };
        let tail = tail(&log).unwrap_or_default();
        let transcript = transcript_path(state_dir, job);
        let files = [
            ("older log", older(&log)),
            ("log", log),
            ("transcript", transcript),
            ("outcome", outcome),
        ];
        let files = files.into_iter().filter_map(|(what, path)| size(what, path)).collect();
        Self { files, tail }
    }
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if start == 0 {
        return Ok(text);
    }
    // The first line is cut.
    Ok(text.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned()))
}

/// All that is left of it.
pub(super) fn kept(
    record: Option<&Record>,
    ended: Option<&EndedJob>,
    files: &JobFiles,
) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut keep = |what, place| kept.push(Kept { what, place, bytes: None });
    if let Some(document) = ended.and_then(EndedJob::believed) {
        if let Some(pull) = &document.pull_request {
            let draft = if pull.draft { " (draft)" } else { "" };
            keep("pull request", format!("{}{draft}", on_one_line(&pull.url, 500)));
        }
        if let Some(rescue) = &document.rescue {
            let commit: String = rescue.commit.chars().take(12).collect();
            let branch = on_one_line(&rescue.branch, 250);
            keep("saved work", format!("branch {branch}, commit {}", on_one_line(&commit, 12)));
        } else if let Some(repository) = &document.repository
            && document.pull_request.is_some()
        {
            keep("branch", on_one_line(&repository.branch, 250));
        }
    }
    if let Some(record) = record {
        match &record.stage {
            Stage::OnHost { notes: Some(notes), .. } => {
                keep("keeper's folder", notes.display().to_string());
            }
            _ if record.job.runs == Runs::InContainer => {
                let name = ContainerRef::of(record.job.job_id);
                keep("container", format!("{name}, until the app knows the outcome"));
            }
            _ => {}
        }
    }
    let files = files.files.iter();
    kept.extend(files.map(|(what, path, bytes)| {
        let place = path.display().to_string();
        Kept { what, place, bytes: Some(*bytes) }
    }));
    kept
}
