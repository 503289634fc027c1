//! Where the work is described, and by what right it is published.

use api_client::contract::env;
use api_client::tls::ClientIdentity;
use api_client::{ClaimId, JobId, ProjectId, Secret, TicketId};
use url::Url;

use super::{Layers, SettingsError, network};

/// Where the work is described, and the end of it reported.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A ticket of an app.
    App(AppTicket),
    /// The text of `TASK`; no app is involved.
    Task(String),
}

/// A ticket and the app that has it.
#[derive(Clone, Debug)]
pub(crate) struct AppTicket {
    /// Base URL of the app.
    pub(crate) url: Url,
    /// Key of the worker API; an app on its own machine may do without.
    pub(crate) key: Option<Secret>,
    /// What is shown to an app that asks for a certificate of its caller.
    pub(crate) identity: Option<ClientIdentity>,
    /// The project.
    pub(crate) project: ProjectId,
    /// The ticket.
    pub(crate) ticket: TicketId,
    /// The job that this run is, where the app can give it to someone else meanwhile.
    pub(crate) hold: Option<Hold>,
}

/// A job that is held by a claim for as long as its lease is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    /// The job.
    pub(crate) job: JobId,
    /// The claim.
    pub(crate) claim: ClaimId,
}

impl Origin {
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let task = layers.find(env::TASK);
        let ticket = layers.find(env::TICKET_ID);
        match (task, ticket) {
            (Some(task), None) => Ok(Self::Task(task.verbatim())),
            (Some(task), Some(_)) => {
                Err(task.invalid("cannot be used together with TICKET_ID: unset one of them"))
            }
            (None, None) => Err(SettingsError::Missing {
                name: env::TICKET_ID,
                purpose: "set it with TERARCHITECT_API_URL and PROJECT_ID to work on a ticket, or set TASK to work without an app",
            }),
            (None, Some(ticket)) => Ok(Self::App(AppTicket {
                url: layers.required(env::API_URL, "the base URL of the app")?.url()?,
                key: layers.find(env::WORKER_API_KEY).map(|key| key.secret()),
                identity: network::identity(layers)?,
                project: layers.required(env::PROJECT_ID, "the project of the ticket")?.parse()?,
                ticket: ticket.parse()?,
                hold: Hold::read(layers)?,
            })),
        }
    }
}

impl Hold {
    /// An app without leases gives no claim. A claim whose job is not known could not be renewed, and
    /// so would protect nothing.
    fn read(layers: &Layers) -> Result<Option<Self>, SettingsError> {
        let Some(claim) = layers.find(env::CLAIM_ID) else { return Ok(None) };
        let job = layers.required(env::JOB_ID, "the job that CLAIM_ID holds")?;
        Ok(Some(Self { claim: claim.parse()?, job: job.parse()? }))
    }
}
