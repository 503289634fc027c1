//! The job document, as the first process finds it on standard input.

use std::io::{self, Read};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use api_client::Secret;
use nix::errno::Errno;
use nix::sys::signalfd::SignalFd;

/// Largest job document that is read, in bytes. A review comment is its longest part.
pub(super) const DOCUMENT_MAX: usize = 4 << 20;

/// How long standard input may take to hold the whole job document.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked for a signal meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// The job document could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// A signal came first.
    #[error("told to stop before the job document was there")]
    Stopped,
    /// Standard input was not closed.
    #[error(
        "TERARCHITECT_JOB_DOCUMENT is stdin, but standard input did not end within {} s; write the \
         document to it and close it",
        LIMIT.as_secs()
    )]
    TimedOut,
    /// Standard input cannot be read.
    #[error("the job document cannot be read from standard input")]
    Read(#[source] io::Error),
    /// Whether a signal came cannot be seen.
    #[error("cannot look for signals while the job document is read")]
    Signals(#[source] Errno),
}

/// Reads standard input to its end, unless a signal comes first. A signal that comes with it is left
/// for the next process.
pub(super) fn read(stop: &SignalFd) -> Result<Secret, DocumentError> {
    let (sender, receiver) = mpsc::channel();
    // It ends with this process, which is replaced by another one in any case.
    thread::spawn(move || sender.send(read_stdin()));
    let give_up = Instant::now() + LIMIT;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(read) => return read.map_err(DocumentError::Read),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(DocumentError::Read(io::Error::other("its reader broke off")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.read_signal().map_err(DocumentError::Signals)?.is_some() {
            return Err(DocumentError::Stopped);
        }
        if Instant::now() >= give_up {
            return Err(DocumentError::TimedOut);
        }
    }
}

/// At most one byte more than is allowed.
fn read_stdin() -> io::Result<Secret> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(DOCUMENT_MAX).unwrap_or(u64::MAX) + 1;
    io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    Ok(Secret::from(String::from_utf8_lossy(&bytes).into_owned()))
}
