//! Fetching what the agent of a job says it came to, when it has ended and before anything of it is
//! removed.
//!
//! Invariant: the document decides nothing of a job. How it ended is told by the exit code alone; one that is
//! missing, cannot be read, or says otherwise costs a line in the log.

mod document;
mod transcript;

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use api_client::JobId;
use api_client::contract::{AgentExit, OUTCOME_FILE_IN_CONTAINER};
use api_client::error_chain;
use api_client::outcome::{OUTCOME_MAX_BYTES as DOCUMENT_MAX, OutcomeDocument};
use nix::fcntl::OFlag;
use tokio::time::sleep;

use self::document::contradiction;
pub(crate) use self::document::{Unusable, on_one_line, word};
pub(crate) use self::transcript::{forget_transcript, transcript_path};
use crate::context::Context;
use crate::engine::{ContainerRef, Fetched};
use crate::job::Place;
use crate::keeper::outcome_file;
use crate::output::MoreSecrets;

/// An engine that just told the end of a container is asked for its file for no longer than this.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(2);

/// What an agent left behind about its run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    /// The document, without secrets and without what a terminal would obey.
    pub(crate) document: Option<Box<OutcomeDocument>>,
    /// Why there is none, or why it is not to be believed.
    pub(crate) doubt: Option<String>,
}

impl Collected {
    /// The document where it says the same as the exit code.
    pub(crate) fn believed(&self) -> Option<&OutcomeDocument> {
        self.document.as_deref().filter(|_| self.doubt.is_none())
    }
}

/// Takes the document of an agent whose process has ended with `code`, and keeps the transcript of its CLI.
pub(crate) async fn collect(
    ctx: &Context,
    job: JobId,
    place: &Place,
    code: i64,
    secrets: &MoreSecrets,
) -> Collected {
    let fetched = fetch(ctx, place).await;
    // An engine that gives no file need not be asked for another one.
    if !matches!(fetched, Err(Unusable::NotRead(_))) {
        Box::pin(transcript::keep(ctx, job, place, secrets)).await;
    }
    let collected = match fetched {
        Ok(bytes) => read(&bytes, job, code, secrets),
        Err(unusable) => Collected { document: None, doubt: Some(unusable.to_string()) },
    };
    if let Some(doubt) = &collected.doubt {
        tracing::warn!(job.id = %job, "{doubt}; the exit code ({code}) tells the outcome");
    }
    collected
}

fn read(bytes: &[u8], job: JobId, code: i64, secrets: &MoreSecrets) -> Collected {
    match document::read(bytes, job, |text| secrets.redact(text)) {
        Ok(document) => {
            let doubt = contradiction(&document, AgentExit::from_code(code));
            Collected { document: Some(Box::new(document)), doubt }
        }
        Err(unusable) => Collected { document: None, doubt: Some(unusable.to_string()) },
    }
}

async fn fetch(ctx: &Context, place: &Place) -> Result<Vec<u8>, Unusable> {
    match place {
        Place::Container(name) => {
            of_container(ctx, name, OUTCOME_FILE_IN_CONTAINER, DOCUMENT_MAX).await
        }
        Place::Host(keeper) => {
            let file = outcome_file(&keeper.dir);
            let read = tokio::task::spawn_blocking(move || of_host(&file, DOCUMENT_MAX)).await;
            read.unwrap_or_else(|failed| Err(Unusable::NotRead(failed.to_string())))
        }
    }
}

async fn of_container(
    ctx: &Context,
    name: &ContainerRef,
    path: &str,
    most: usize,
) -> Result<Vec<u8>, Unusable> {
    let begun = Instant::now();
    loop {
        match ctx.engine.file(name, path, most).await {
            Ok(Fetched::File(bytes)) => return Ok(bytes),
            Ok(Fetched::Absent) => return Err(Unusable::Missing),
            Ok(Fetched::TooLarge) => return Err(Unusable::TooLarge),
            Ok(Fetched::NoFile) => return Err(Unusable::NoFile),
            Ok(Fetched::Broken) => {
                return Err(Unusable::NotRead("the engine sent half a file".to_owned()));
            }
            Err(error) if begun.elapsed() > PATIENCE => {
                return Err(Unusable::NotRead(error_chain(&error)));
            }
            Err(error) => tracing::debug!(container.name = %name, %error, "asked again"),
        }
        sleep(RETRY).await;
    }
}

/// A file of at most `most` bytes that somebody else may have made: no link is followed, and nothing is
/// waited for.
pub(crate) fn of_host(path: &Path, most: usize) -> Result<Vec<u8>, Unusable> {
    let read = || -> io::Result<Result<Vec<u8>, Unusable>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(Err(Unusable::NoFile));
        }
        let mut bytes = Vec::new();
        // One byte more than is allowed tells that there is too much.
        file.take(most as u64 + 1).read_to_end(&mut bytes)?;
        Ok(if bytes.len() > most { Err(Unusable::TooLarge) } else { Ok(bytes) })
    };
    match read() {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Unusable::Missing),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            Err(Unusable::NoFile)
        }
        Err(error) => Err(Unusable::NotRead(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn of_host(path: &Path) -> Result<Vec<u8>, Unusable> {
        super::of_host(path, DOCUMENT_MAX)
    }

    #[test]
    fn of_a_folder_that_others_write_to_only_a_small_plain_file_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "text").unwrap();
        assert_eq!(of_host(&path("file")).unwrap(), b"text");
        assert!(matches!(of_host(&path("none")), Err(Unusable::Missing)));
        symlink(path("file"), path("link")).unwrap();
        assert!(matches!(of_host(&path("link")), Err(Unusable::NoFile)));
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        assert!(matches!(of_host(&path("pipe")), Err(Unusable::NoFile)));
        assert!(matches!(of_host(dir.path()), Err(Unusable::NoFile)));
        fs::write(path("large"), vec![b' '; DOCUMENT_MAX + 1]).unwrap();
        assert!(matches!(of_host(&path("large")), Err(Unusable::TooLarge)));
    }
}
