//! Where the moments of a ticket's runs are kept, and what became of the last one since.

use std::io;
use std::sync::Arc;

use api_client::error_chain;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::moment::{Files, Moment};
use crate::git::CommitId;
use crate::redaction::Redaction;
use crate::state::{StateError, StateFolder};

const MOMENT: &str = "moment";
const SINCE: &str = "since.json";

/// A ticket's folder.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) folder: Arc<StateFolder>,
    /// What stands for the ticket as it is, and for how it is worked on.
    pub(super) assignment: String,
    pub(super) redaction: Redaction,
}

/// What became of a moment since it was kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Since {
    /// How often a run went on there.
    pub(super) tries: u32,
    /// Whether an outcome told of it.
    pub(super) told: bool,
    /// Commits of the work as it was later, which may be on the remote.
    pub(super) published: Vec<CommitId>,
}

#[derive(Serialize, Deserialize)]
struct Noted<S> {
    moment: Uuid,
    since: S,
}

impl Place {
    /// What an earlier run of this assignment left, if anything is there; why it cannot be used.
    pub(super) fn found(&self) -> Result<Option<Moment>, String> {
        let failed = |error: StateError| error_chain(&error);
        let Some(file) = self.folder.open(MOMENT).map_err(failed)? else { return Ok(None) };
        let mut moment = Moment::read(file)?;
        if moment.assignment != self.assignment {
            return Err("the ticket, or how it is worked on, was changed since".to_owned());
        }
        let noted = self.folder.document::<Noted<Since>>(SINCE).map_err(failed)?;
        if let Some(noted) = noted.filter(|noted| noted.moment == moment.id) {
            moment.since = noted.since;
        }
        Ok(Some(moment))
    }

    /// What is beside the document.
    pub(super) async fn files(&self) -> io::Result<Files> {
        let folder = Arc::clone(&self.folder);
        let open = move || match folder.open(MOMENT) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(io::Error::other(error)),
        };
        spawn_blocking(move || Files::read(open)).await.map_err(io::Error::other)?
    }

    /// Keeps a moment in the place of the one before.
    pub(super) async fn keep(&self, moment: Moment, files: Files) -> Result<(), String> {
        let place = self.clone();
        let written = spawn_blocking(move || {
            let redact = |text: &str| place.redaction.redact(text);
            place.folder.set_file(MOMENT, |file| moment.write(&files, file, redact))
        });
        written.await.map_err(|error| error_chain(&error))?.map_err(|error| error_chain(&error))
    }

    /// Notes what became of a moment.
    pub(super) fn note(&self, moment: &Moment) -> Result<(), StateError> {
        let noted = Noted { moment: moment.id, since: &moment.since };
        self.folder.set_document(SINCE, &noted)
    }

    /// Removes the moment.
    pub(super) fn clear(&self) {
        for name in [MOMENT, SINCE] {
            if let Err(error) = self.folder.remove(name) {
                tracing::warn!("old state is left: {}", error_chain(&error));
            }
        }
    }
}
