//! Which job is meant, and what is known of it on disk. It only reads, and works beside a coordinator as
//! well as without one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use api_client::{JobId, TicketId};

use crate::history::{self, EndedJob};
use crate::ledger::{Record, Stage, readable_record, readable_records};

/// How many are named where a beginning fits several.
const NAMED_MAX: usize = 8;

/// Fewer characters of an id are no beginning.
const BEGINNING_MIN: usize = 3;

/// A job as it stands on disk.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) job: JobId,
    /// Its record, while it is not settled.
    pub(crate) record: Option<Record>,
    /// What is kept of its end, once it has ended.
    pub(crate) ended: Option<EndedJob>,
}

/// No single job is meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error(
        "no job or ticket {name} is known in {}; `coordinator jobs` lists those that are kept",
        dir.display()
    )]
    Unknown { name: String, dir: PathBuf },
    #[error("{name} is the beginning of several jobs: {}", several.join(", "))]
    Several { name: String, several: Vec<String> },
    #[error(
        "{name} is no id: give a job's or a ticket's, or at least the first {BEGINNING_MIN} characters of a job's"
    )]
    NoId { name: String },
    #[error("cannot read the state directory {}", dir.display())]
    Read {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The job with this id, or with an id that begins so, or the latest job of the ticket with this id. The
/// name of its container will do too.
pub(crate) fn find(state_dir: &Path, name: &str) -> Result<Found, FindError> {
    let wanted = name.strip_prefix("terarchitect-").unwrap_or(name).to_lowercase();
    let hexadecimal = wanted.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if wanted.len() < BEGINNING_MIN || !hexadecimal {
        return Err(FindError::NoId { name: name.to_owned() });
    }
    let dir = || state_dir.to_owned();
    let jobs = all(state_dir).map_err(|source| FindError::Read { dir: dir(), source })?;
    let ids = jobs.iter().map(|job| job.job.to_string());
    let mut named: Vec<_> =
        ids.zip(&jobs).filter(|(id, _)| id.starts_with(&wanted)).map(|(_, job)| job).collect();
    if named.is_empty()
        && let Ok(ticket) = wanted.parse::<TicketId>()
    {
        let of_ticket = jobs.iter().filter(|job| job.ticket() == Some(ticket));
        named.extend(of_ticket.max_by_key(|job| job.claimed_at()));
    }
    match named.as_slice() {
        [] => Err(FindError::Unknown { name: name.to_owned(), dir: dir() }),
        [job] => Ok((*job).clone()),
        several => {
            let several = several.iter().take(NAMED_MAX).map(|job| job.job.to_string()).collect();
            Err(FindError::Several { name: name.to_owned(), several })
        }
    }
}

/// How a job stands on disk now. What cannot be read counts as not there.
pub(crate) fn look(state_dir: &Path, job: JobId) -> Found {
    let record = readable_record(state_dir, job);
    let ended = history::of(state_dir, job)
        .filter(|ended| record.as_ref().is_none_or(|record| record.claimed_at == ended.claimed_at));
    Found { job, record, ended }
}

/// Every job of which there is a record, or of whose end something is kept.
pub(crate) fn all(state_dir: &Path) -> io::Result<Vec<Found>> {
    let mut jobs = BTreeMap::new();
    let bare = |job| Found { job, record: None, ended: None };
    for ended in history::all(state_dir)? {
        let job = ended.job;
        jobs.entry(job).or_insert_with(|| bare(job)).ended = Some(ended);
    }
    for record in readable_records(state_dir)? {
        let job = record.job.job_id;
        let found = jobs.entry(job).or_insert_with(|| bare(job));
        // It was claimed again since.
        found.ended.take_if(|ended| ended.claimed_at != record.claimed_at);
        found.record = Some(record);
    }
    Ok(jobs.into_values().collect())
}

impl Found {
    /// Whether its agent is not known to have ended.
    pub(crate) fn is_open(&self) -> bool {
        let stage = self.record.as_ref().map(|record| &record.stage);
        self.ended.is_none() && stage.is_some_and(|stage| !matches!(stage, Stage::Ended { .. }))
    }

    /// Its ticket, if that is known.
    pub(crate) fn ticket(&self) -> Option<TicketId> {
        let record = self.record.as_ref().and_then(|record| record.job.ticket);
        record.map(|of| of.ticket_id).or_else(|| self.ended.as_ref()?.ticket)
    }

    fn claimed_at(&self) -> u64 {
        let record = self.record.as_ref().map(|record| record.claimed_at);
        record.or(self.ended.as_ref().map(|ended| ended.claimed_at)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TICKET: &str = "c1d437f0-01dc-40f1-84f8-cda84d4af8e3";

    fn ended(job: &str, claimed_at: u64, ticket: &str) -> String {
        json!({
            "version": 1, "job": job, "ticket": ticket, "claimed_at": claimed_at,
            "ended_at": claimed_at + 9, "result": "completed",
        })
        .to_string()
    }

    fn state() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        for (job, at) in [
            ("93863a0a-985e-474b-a6b2-40a89654e6bf", 5),
            ("93863fff-985e-474b-a6b2-40a89654e6bf", 9),
            ("aaaa3a0a-985e-474b-a6b2-40a89654e6bf", 7),
        ] {
            let path = dir.path().join(format!("logs/{job}.ended.json"));
            std::fs::write(path, ended(job, at, TICKET)).unwrap();
        }
        dir
    }

    #[test]
    fn a_job_is_found_by_its_id_its_beginning_its_container_and_its_ticket() {
        let dir = state();
        let found = |name: &str| find(dir.path(), name).unwrap().job.to_string();
        let first = "93863a0a-985e-474b-a6b2-40a89654e6bf";
        for name in [first, "93863a", "93863A0A-9", &format!("terarchitect-{first}")] {
            assert_eq!(found(name), first);
        }
        assert_eq!(found(TICKET), "93863fff-985e-474b-a6b2-40a89654e6bf");
    }

    #[test]
    fn a_name_that_means_no_single_job_says_why() {
        let dir = state();
        let said = |name: &str| find(dir.path(), name).unwrap_err().to_string();
        assert!(said("93863").starts_with("93863 is the beginning of several jobs: 93863a0a-"));
        assert!(said("bbb").contains("no job or ticket bbb is known"));
        assert!(said("x").contains("is no id") && said("../../etc").contains("is no id"));
        let nowhere = find(Path::new("/nonexistent"), "abc").unwrap_err();
        assert!(matches!(nowhere, FindError::Unknown { .. }), "{nowhere}");
    }

    #[test]
    fn of_a_job_that_was_claimed_again_the_earlier_end_is_left_out() {
        let dir = state();
        let job = "93863a0a-985e-474b-a6b2-40a89654e6bf".parse().unwrap();
        let ledger = crate::ledger::Ledger::open(dir.path()).unwrap();
        let of = crate::ledger::JobRef::unreadable(job);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ledger.write(&Record::claimed(of, None, 77))).unwrap();
        let found = find(dir.path(), "93863a").unwrap();
        assert!(found.is_open() && found.ended.is_none());
    }
}
