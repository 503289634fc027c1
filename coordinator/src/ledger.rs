//! What we hold: one file for each job that was claimed and is not yet settled.
//!
//! Invariants: a record is on disk before the step that it tells of is taken; a write is atomic
//! and durable (temporary file, fsync, rename, fsync of the directory); a record that cannot be
//! read is set aside under another name, never deleted, and never stops the others. Records hold
//! no secret.

mod lock;
mod record;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_client::JobId;

pub(crate) use lock::{LockError, StateLock};
pub(crate) use record::{JobRef, Record, Runs, Stage};

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

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}; is the disk full, or the directory not ours?", path.display())]
pub(crate) struct LedgerError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Ledger {
    /// Opens (and makes, mode 0700) the ledger below a state directory.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, LedgerError> {
        let dir = state_dir.join("jobs");
        make_private_dir(&dir)?;
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

    /// Reads all records, setting aside what cannot be read. The job of such a record is not lost:
    /// its id is the name of the file, and what its container did tells the rest.
    pub(crate) fn load(&self) -> Result<Found, LedgerError> {
        let mut found = Found::default();
        for path in self.record_files()? {
            match fs::read(&path)
                .map_err(|error| error.to_string())
                .and_then(|text| Record::parse(&text))
            {
                Ok(record) => found.records.push(record),
                Err(reason) => {
                    found.records.extend(stand_in(&path));
                    let aside = path.with_extension("unreadable");
                    fs::rename(&path, &aside).map_err(|source| LedgerError {
                        action: "set aside",
                        path,
                        source,
                    })?;
                    found.set_aside.push((aside, reason));
                }
            }
        }
        found.records.sort_by_key(|record| (record.claimed_at, record.job.job_id));
        Ok(found)
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
        let path = self.dir.to_path_buf();
        match tokio::task::spawn_blocking(move || work(&dir)).await {
            Ok(done) => done,
            Err(error) => Err(LedgerError { action: "use", path, source: io::Error::other(error) }),
        }
    }
}

/// Makes a directory (and those above it) that only we can read.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), LedgerError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| LedgerError { action: "create", path: dir.to_owned(), source })
}

/// The record of a job whose own record cannot be read.
fn stand_in(path: &Path) -> Option<Record> {
    let job = path.file_stem()?.to_str()?.parse().ok()?;
    let stage = Stage::InContainer { image: String::new() };
    Some(Record::claimed(JobRef::unreadable(job), 0).at(stage))
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Keep,
    Replace,
}

/// Writes a file of a directory (mode 0600) so that it is whole or not there, whatever happens.
pub(crate) fn write_durably(
    dir: &Path,
    path: &Path,
    text: &[u8],
    existing: Existing,
) -> Result<(), LedgerError> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        match existing {
            Existing::Keep => file.persist_noclobber(path),
            Existing::Replace => file.persist(path),
        }
        .map_err(|error| error.error)?;
        sync_dir(dir)
    };
    write().map_err(|source| LedgerError { action: "write", path: path.to_owned(), source })
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use api_client::{ProjectId, TicketId};

    use super::record::{TicketRef, VERSION};
    use super::*;

    fn record() -> Record {
        let ticket = TicketRef { ticket_id: TicketId::random(), project_id: ProjectId::random() };
        let job = JobRef { ticket: Some(ticket), ..JobRef::unreadable(JobId::random()) };
        Record::claimed(job, 1_700_000_000)
    }

    #[tokio::test]
    async fn a_written_record_is_found_again_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let record = record();
        ledger.write(&record).await.unwrap();
        let later = record.at(Stage::OnHost { pid: 7 });
        ledger.write(&later).await.unwrap();
        assert_eq!(ledger.load().unwrap().records, [later]);
        ledger.forget(record.job.job_id).await.unwrap();
        ledger.forget(record.job.job_id).await.unwrap();
        assert!(ledger.load().unwrap().records.is_empty());
    }

    #[tokio::test]
    async fn every_truncation_of_a_record_is_set_aside_and_stops_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let (good, bad) = (record(), record());
        ledger.write(&good).await.unwrap();
        ledger.write(&bad).await.unwrap();
        let path = ledger.path_of(bad.job.job_id);
        let whole = fs::read(&path).unwrap();
        // The last byte is a newline, without which the record is still whole.
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            let found = ledger.load().unwrap();
            assert!(found.records.contains(&good), "cut at {length}");
            let of_bad = found.records.iter().find(|r| r.job.job_id == bad.job.job_id).unwrap();
            assert!(matches!(of_bad.stage, Stage::InContainer { .. }), "cut at {length}");
            assert_eq!((found.records.len(), found.set_aside.len()), (2, 1), "cut at {length}");
        }
    }

    #[tokio::test]
    async fn a_record_of_a_newer_version_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let newer = Record { version: VERSION + 1, ..record() };
        ledger.write(&newer).await.unwrap();
        let found = ledger.load().unwrap();
        assert_eq!((found.records.len(), found.set_aside.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_job_that_is_held_is_not_claimed_over() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let record = record();
        assert_eq!(ledger.claim(&record).await.unwrap(), Held::Now);
        let running = record.at(Stage::OnHost { pid: 7 });
        ledger.write(&running).await.unwrap();
        assert_eq!(ledger.claim(&record).await.unwrap(), Held::Before);
        assert_eq!(ledger.load().unwrap().records, [running]);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_noticed_by_the_probe() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.probe().await.unwrap();
        fs::remove_dir_all(dir.path().join("jobs")).unwrap();
        assert!(ledger.probe().await.is_err());
    }
}
