//! A job as it stands on disk.

use std::path::PathBuf;

use api_client::wire::{Job, JobKind, Lease};
use api_client::{ClaimId, JobId, ProjectId, TicketId};
use serde::{Deserialize, Serialize};

use super::timeline::{Happened, Timeline};
use crate::clock::{Moment, now_millis};
use crate::engine::{ContainerRef, ImageDigest};
use crate::github_app::Repository;
use crate::outcome::Outcome;

/// Version of the record format that this program writes. It reads those before it as well: what
/// they lack has a default.
pub(super) const VERSION: u32 = 2;

/// One claimed job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) version: u32,
    /// The job.
    pub(crate) job: JobRef,
    /// When it was claimed, in seconds since 1970.
    pub(crate) claimed_at: u64,
    /// How the app hands it out; absent where the app knows no leases.
    #[serde(default)]
    pub(crate) lease: Option<Lease>,
    /// What the app's flag said before the job began.
    #[serde(default)]
    pub(crate) cancel_flag: CancelFlag,
    /// The engine's id of its container, once it has one.
    #[serde(default)]
    pub(crate) container: Option<ContainerRef>,
    /// The gateway beside that, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<ContainerRef>,
    /// Which image that has.
    #[serde(default)]
    pub(crate) digest: Option<ImageDigest>,
    /// The repository that its token was made for, where a GitHub App makes them: while its agent
    /// runs, that token is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_for: Option<Repository>,
    /// When what happened to it.
    #[serde(default, skip_serializing_if = "Timeline::is_empty")]
    pub(crate) timeline: Timeline,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// What identifies a job: enough to report it, nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRef {
    pub(crate) job_id: JobId,
    /// Absent where the app's answer, or an earlier record, could not be read.
    pub(crate) ticket: Option<TicketRef>,
    /// Where it was to run, so that no container is looked for where there was none.
    pub(crate) runs: Runs,
    /// What it is for; in records of earlier versions that is not said.
    #[serde(default)]
    pub(crate) errand: Errand,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Errand {
    /// The work on a ticket.
    #[default]
    Ticket,
    /// The review of a pull request.
    Review,
}

/// Where a job is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Runs {
    /// In a container, if one can be had.
    InContainer,
    /// On the host, as the project or the operator asks for it.
    OnHost,
}

/// The ticket that a job works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TicketRef {
    pub(crate) ticket_id: TicketId,
    pub(crate) project_id: ProjectId,
}

/// Whether the app's cancel flag means this job when it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CancelFlag {
    /// It was clear, or the app keeps one for each job: once set, it means this job.
    Ours,
    /// It was set, or nobody knows: it means an earlier job of the ticket until it was seen clear.
    #[default]
    Unclear,
}

impl JobRef {
    /// A claimed job.
    pub(crate) fn of(job: &Job, runs: Runs) -> Self {
        let ticket = TicketRef { ticket_id: job.ticket_id, project_id: job.project_id };
        let errand = match job.kind {
            JobKind::Ticket => Errand::Ticket,
            JobKind::Review { .. } => Errand::Review,
        };
        Self { job_id: job.job_id, ticket: Some(ticket), runs, errand }
    }

    /// A job of which only the id could be read.
    pub(crate) fn unreadable(job_id: JobId) -> Self {
        Self { job_id, ticket: None, runs: Runs::InContainer, errand: Errand::Ticket }
    }
}

/// How far a job is. Stages follow one another and are never left out backwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The app gave it to us; no agent has its job document.
    Claimed,
    /// Its container runs it: the job document was, or is about to be, delivered.
    InContainer {
        image: String,
        #[serde(default)]
        began: Option<Moment>,
    },
    /// A keeper on this host runs it.
    OnHost {
        #[serde(default)]
        keeper: Option<HostProcess>,
        /// Where that keeper keeps its notes; each has a folder of its own.
        #[serde(default)]
        notes: Option<PathBuf>,
        #[serde(default)]
        began: Option<Moment>,
    },
    /// It ended; the app may not know yet.
    Ended { outcome: Outcome },
}

/// A process of this host that cannot be mistaken for a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostProcess {
    pub(crate) pid: i32,
    /// When the kernel started it, in clock ticks since the boot (`proc(5)`, field 22 of `stat`).
    pub(crate) start_ticks: u64,
    /// The kernel's id of that boot.
    pub(crate) boot: String,
}

impl Record {
    /// The record of a job that was just claimed.
    pub(crate) fn claimed(job: JobRef, lease: Option<Lease>, now: u64) -> Self {
        // An app with leases has a flag for each job.
        let cancel_flag = if lease.is_some() { CancelFlag::Ours } else { CancelFlag::Unclear };
        let stage = Stage::Claimed;
        Self {
            version: VERSION,
            job,
            claimed_at: now,
            lease,
            cancel_flag,
            container: None,
            gateway: None,
            digest: None,
            token_for: None,
            timeline: Timeline::default(),
            stage,
        }
    }

    /// Reads a record; a reason in words when it is none of ours.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if (1..=VERSION).contains(&record.version) {
            Ok(Self { version: VERSION, ..record })
        } else {
            Err(format!("version {} is none of 1 to {VERSION}", record.version))
        }
    }

    /// The same job at another stage.
    pub(crate) fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }

    /// The same job, to which something happened just now.
    pub(crate) fn noted(mut self, what: Happened) -> Self {
        self.timeline.note(what, now_millis());
        self
    }

    /// The same job, whose end is noted once.
    pub(crate) fn noted_ended(self) -> Self {
        if self.timeline.last(Happened::Ended).is_some() {
            return self;
        }
        self.noted(Happened::Ended)
    }

    /// The claim by which the job is held, where the app knows such.
    pub(crate) fn claim_id(&self) -> Option<ClaimId> {
        self.lease.map(|lease| lease.claim_id)
    }

    /// When its agent began; none before that, and where no one knows.
    pub(crate) const fn began(&self) -> Option<&Moment> {
        match &self.stage {
            Stage::InContainer { began, .. } | Stage::OnHost { began, .. } => began.as_ref(),
            Stage::Claimed | Stage::Ended { .. } => None,
        }
    }
}
