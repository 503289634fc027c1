//! What we hold: one file for each job that was claimed and is not yet settled.
//!
//! Invariants: a record is on disk before the step that it tells of is taken; a write is atomic
//! and durable (temporary file, fsync, rename, fsync of the directory); a record that cannot be
//! read is set aside under another name, never deleted, and never stops the others; one that stands in
//! for it takes its place, for a job without a record would be taken for garbage. Records hold no
//! secret.

mod durable;
mod intent;
mod lock;
mod record;
mod timeline;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_client::{JobId, TicketId, error_chain};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use durable::{
    Existing, LedgerError, aside, make_private_dir, write_durably, write_json,
};
use durable::{remove_unfinished, sync_dir};
pub(crate) use intent::ClaimIntent;
pub(crate) use lock::{LockError, StateLock};
pub(crate) use record::{CancelFlag, Errand, HostProcess, JobRef, Record, Runs, Stage, TicketRef};
pub(crate) use timeline::{Event, Happened, Timeline};

use crate::present::present;

/// The records of one state directory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    dir: Arc<Path>,
}

/// Whether a claim brought a job that was not held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Now,
    Before,
}

/// What was found on disk at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Readable records, in the order of their claims.
    pub(crate) records: Vec<Record>,
    /// Files that were set aside, each with the reason.
    pub(crate) set_aside: Vec<(PathBuf, String)>,
}

impl Ledger {
    /// Opens (and makes, mode 0700) the ledger below a state directory, which is locked by us.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let dir = state_dir.join("jobs");
        make_private_dir(&dir)?;
        remove_unfinished(state_dir)?;
        remove_unfinished(&dir)?;
        Ok(Self { dir: dir.into() })
    }

    /// Whether a record could be written now.
    pub(crate) async fn probe(&self) -> Result<(), LedgerError> {
        let path = self.dir.join(".probe");
        self.blocking(move |dir| write_durably(dir, &path, b"{}\n", Existing::Replace)).await
    }

    /// Writes the record of a job that was just claimed, unless the job is held already.
    pub(crate) async fn claim(&self, record: &Record) -> Result<Held, LedgerError> {
        let (path, text) = self.file_of(record)?;
        self.blocking(move |dir| match write_durably(dir, &path, &text, Existing::Keep) {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => Ok(Held::Before),
            written => written.map(|()| Held::Now),
        })
        .await
    }

    /// Writes a job's record, in place of an earlier one.
    pub(crate) async fn write(&self, record: &Record) -> Result<(), LedgerError> {
        let (path, text) = self.file_of(record)?;
        self.blocking(move |dir| write_durably(dir, &path, &text, Existing::Replace)).await
    }

    /// Writes what was noted of a job. A disk that does not take it costs no job.
    pub(crate) async fn write_notes(&self, record: &Record) {
        if let Err(error) = self.write(record).await {
            let error = error_chain(&error);
            tracing::debug!(job.id = %record.job.job_id, error, "what happened is not noted on disk");
        }
    }

    /// Forgets a job that is settled. Forgetting it again is harmless.
    pub(crate) async fn forget(&self, job: JobId) -> Result<(), LedgerError> {
        let path = self.path_of(job);
        self.blocking(move |dir| {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => sync_dir(dir),
            }
            .map_err(|source| LedgerError { action: "remove", path, source })
        })
        .await
    }

    /// Whether a job has a record.
    pub(crate) async fn holds(&self, job: JobId) -> Result<bool, LedgerError> {
        let ledger = self.clone();
        self.blocking(move |_| Ok(ledger.held()?.contains(&job))).await
    }

    /// Reads all records, setting aside what cannot be read. The job of such a record is not lost:
    /// its id is the name of the file, and what its container did tells the rest.
    pub(crate) fn load(&self) -> Result<Found, LedgerError> {
        let mut found = Found::default();
        for path in self.record_files()? {
            let text = fs::read(&path);
            let text = text.as_deref().map_err(ToString::to_string);
            match text.clone().and_then(Record::parse) {
                Ok(record) => found.records.push(record),
                Err(reason) => {
                    let record = stand_in(&path, text.unwrap_or_default());
                    // Where the disk takes nothing, the file stays, and the job is taken up all the same.
                    let aside = self.replace(&path, record.as_ref()).unwrap_or_else(|error| {
                        tracing::error!(error = error_chain(&error), "it stays in its place");
                        path.clone()
                    });
                    found.records.extend(record);
                    found.set_aside.push((aside, reason));
                }
            }
        }
        found.records.sort_by_key(|record| (record.claimed_at, record.job.job_id));
        Ok(found)
    }

    /// Sets a record aside, with the other one in its place.
    fn replace(&self, path: &Path, by: Option<&Record>) -> Result<PathBuf, LedgerError> {
        let aside = free_name(path);
        let failed = |source| LedgerError { action: "set aside", path: path.to_owned(), source };
        let Some(record) = by else {
            fs::rename(path, &aside).map_err(failed)?;
            return Ok(aside);
        };
        // A copy, as not every file system has links: at no moment is the job without a record.
        fs::copy(path, &aside).map_err(failed)?;
        let (path, text) = self.file_of(record)?;
        write_durably(&self.dir, &path, &text, Existing::Replace)?;
        Ok(aside)
    }

    /// The jobs that have a record.
    pub(crate) fn held(&self) -> Result<HashSet<JobId>, LedgerError> {
        let job = |path: PathBuf| path.file_stem()?.to_str()?.parse().ok();
        Ok(self.record_files()?.into_iter().filter_map(job).collect())
    }

    /// Whether a job with a record is of a ticket; one whose record cannot be read may be, one that was forgotten
    /// meanwhile is not.
    pub(crate) async fn holds_job_of(&self, ticket: TicketId) -> Result<bool, LedgerError> {
        let ledger = self.clone();
        let may_be = move |path: PathBuf| match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            text => {
                let record = text.ok().and_then(|text| Record::parse(&text).ok());
                let of = record.and_then(|record| record.job.ticket);
                of.is_none_or(|of| of.ticket_id == ticket)
            }
        };
        self.blocking(move |_| Ok(ledger.record_files()?.into_iter().any(may_be))).await
    }

    fn record_files(&self) -> Result<Vec<PathBuf>, LedgerError> {
        let failed = |source| LedgerError { action: "list", path: self.dir.to_path_buf(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        Ok(files)
    }

    fn file_of(&self, record: &Record) -> Result<(PathBuf, Vec<u8>), LedgerError> {
        let path = self.path_of(record.job.job_id);
        match serde_json::to_vec_pretty(record) {
            Ok(mut text) => {
                text.push(b'\n');
                Ok((path, text))
            }
            Err(error) => Err(LedgerError { action: "write", path, source: error.into() }),
        }
    }

    fn path_of(&self, job: JobId) -> PathBuf {
        self.dir.join(format!("{job}.json"))
    }

    /// Runs disk work where a slow disk does not hold up the other jobs.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let dir = Arc::clone(&self.dir);
        aside(&self.dir, move || work(&dir)).await
    }
}

/// The record of one job, if it is there and can be read. Nothing is changed.
pub(crate) fn readable_record(state_dir: &Path, job: JobId) -> Option<Record> {
    let text = fs::read(state_dir.join("jobs").join(format!("{job}.json"))).ok()?;
    Record::parse(&text).ok()
}

/// The records of a state directory, whoever works in it: those that can be read. Nothing is changed.
pub(crate) fn readable_records(state_dir: &Path) -> io::Result<Vec<Record>> {
    // Where there is none, no coordinator has run yet.
    let Some(entries) = present(fs::read_dir(state_dir.join("jobs")))? else {
        return Ok(Vec::new());
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Ok(text) = fs::read(&path)
            && let Ok(record) = Record::parse(&text)
        {
            records.push(record);
        }
    }
    Ok(records)
}

/// The record of a job whose own record cannot be read: what can be had of it, as a newer version's may
/// be in good order otherwise. A keeper's notes tell that it runs on the host.
fn stand_in(path: &Path, text: &[u8]) -> Option<Record> {
    let job: JobId = path.file_stem()?.to_str()?.parse().ok()?;
    let notes = path.parent()?.parent()?.join("host").join(job.to_string());
    let guessed = if notes.exists() {
        Stage::OnHost { keeper: None, notes: None, began: None }
    } else {
        Stage::InContainer { image: String::new(), began: None }
    };
    let left: Value = serde_json::from_slice(text).unwrap_or_default();
    let about = part::<JobRef>(&left, "job").filter(|about| about.job_id == job);
    let Some(about) = about else {
        return Some(Record::claimed(JobRef::unreadable(job), None, 0).at(guessed));
    };
    let claimed_at = part(&left, "claimed_at").unwrap_or(0);
    let record = Record::claimed(about, part(&left, "lease"), claimed_at);
    let stage = part(&left, "stage").unwrap_or(guessed);
    let record = Record {
        container: part(&left, "container"),
        gateway: part(&left, "gateway"),
        digest: part(&left, "digest"),
        token_for: part(&left, "token_for"),
        timeline: part(&left, "timeline").unwrap_or_default(),
        ..record
    };
    Some(record.at(stage))
}

/// A name beside a record, for what is set aside; none that an earlier one has.
fn free_name(path: &Path) -> PathBuf {
    let name = |count: u32| match count {
        0 => path.with_extension("unreadable"),
        more => path.with_extension(format!("{more}.unreadable")),
    };
    (0..).map(name).find(|aside| !aside.exists()).unwrap_or_else(|| name(0))
}

fn part<T: DeserializeOwned>(of: &Value, name: &str) -> Option<T> {
    T::deserialize(of.get(name)?).ok()
}

#[cfg(test)]
mod tests;
