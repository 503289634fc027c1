//! Keeping what an agent took down of its coding CLI, beside the job's log and for as long: for a
//! [`bundle`](crate::bundle).
//!
//! Nothing is decided by it. One that is missing costs nothing, one that cannot be had a line in the log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api_client::contract::{TRANSCRIPT_FILE_IN_CONTAINER, TRANSCRIPT_MAX_BYTES};
use api_client::{JobId, error_chain};

use super::{Unusable, of_container, of_host};
use crate::context::Context;
use crate::job::Place;
use crate::keeper::transcript_file;
use crate::ledger::{Existing, write_durably};
use crate::output::MoreSecrets;

/// Where the transcript of a job is kept.
pub(crate) fn transcript_path(state_dir: &Path, job: JobId) -> PathBuf {
    state_dir.join("logs").join(format!("{job}.transcript.jsonl"))
}

/// Keeps the transcript of an agent that has ended, in place of that of an earlier run of the job.
pub(super) async fn keep(ctx: &Context, job: JobId, place: &Place, secrets: &MoreSecrets) {
    let path = transcript_path(&ctx.state_dir, job);
    let fetched = match place {
        Place::Container(name) => {
            of_container(ctx, name, TRANSCRIPT_FILE_IN_CONTAINER, TRANSCRIPT_MAX_BYTES).await
        }
        Place::Host(keeper) => {
            let file = transcript_file(&keeper.dir);
            let read = move || of_host(&file, TRANSCRIPT_MAX_BYTES);
            let read = tokio::task::spawn_blocking(read).await;
            read.unwrap_or_else(|failed| Err(Unusable::NotRead(failed.to_string())))
        }
    };
    let secrets = secrets.clone();
    let kept = tokio::task::spawn_blocking(move || store(&path, fetched, &secrets)).await;
    if let Some(problem) = kept.unwrap_or_else(|failed| Some(failed.to_string())) {
        tracing::warn!(job.id = %job, "the transcript of the coding CLI is not kept: {problem}");
    }
}

/// Removes that of an earlier run of the job, so that nobody takes it for one of the run that begins.
pub(crate) async fn forget_transcript(ctx: &Context, job: JobId) {
    let path = transcript_path(&ctx.state_dir, job);
    match tokio::fs::remove_file(&path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(job.id = %job, %error, "the transcript of an earlier run stays");
        }
        _ => {}
    }
}

/// Writes it without secrets; why not, where it cannot be.
fn store(path: &Path, fetched: Result<Vec<u8>, Unusable>, secrets: &MoreSecrets) -> Option<String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Some(error.to_string()),
        _ => {}
    }
    let bytes = match fetched {
        Ok(bytes) => bytes,
        // An agent of an earlier version leaves none.
        Err(Unusable::Missing) => return None,
        Err(unusable) => return Some(unusable.why()),
    };
    let text = secrets.redact(&String::from_utf8_lossy(&bytes));
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = write_durably(folder, path, text.as_bytes(), Existing::Replace);
    written.err().map(|error| error_chain(&error))
}
