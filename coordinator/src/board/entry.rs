//! What the board holds of one job, and of one outcome that waits.

use std::time::Instant;

use api_client::{ProjectId, TicketId};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::engine::ImageDigest;
use crate::ledger::{Record, Stage};
use crate::metrics::{Phase, Tally};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobStage {
    /// Claimed or adopted.
    Held,
    /// Its agent is being started.
    Launching,
    /// Its agent runs in a container.
    InContainer,
    /// Its agent runs on this host.
    OnHost,
    /// Its agent is being ended.
    Stopping,
    /// The app is being told.
    Reporting,
}

impl JobStage {
    pub(crate) const ALL: [Self; 6] = [
        Self::Held,
        Self::Launching,
        Self::InContainer,
        Self::OnHost,
        Self::Stopping,
        Self::Reporting,
    ];

    /// In one word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Launching => "launching",
            Self::InContainer => "in_container",
            Self::OnHost => "on_host",
            Self::Stopping => "stopping",
            Self::Reporting => "reporting",
        }
    }
}

/// A job that is held.
#[derive(Debug)]
pub(super) struct JobEntry {
    pub(super) ticket: Option<(TicketId, ProjectId)>,
    pub(super) digest: Option<ImageDigest>,
    pub(super) stage: JobStage,
    pub(super) since: Instant,
    /// When we took it up.
    pub(super) begun: Instant,
    /// When its agent was begun with; none where an earlier coordinator did so.
    pub(super) launching: Option<Instant>,
    /// When its agent began.
    pub(super) running: Option<Instant>,
}

/// Why an outcome waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may pass by itself.
    Passing,
    /// Someone has to mend something, most often the key.
    Key,
}

/// An outcome that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) since: Instant,
    pub(super) problem: String,
    pub(super) trouble: Trouble,
}

impl JobEntry {
    /// Of a job that is taken up now; where its agent runs already, that one counts from when it began.
    pub(super) fn new(record: &Record) -> Self {
        let now = Instant::now();
        let running = match &record.stage {
            Stage::Claimed | Stage::Ended { .. } => None,
            Stage::InContainer { .. } | Stage::OnHost { .. } => {
                let ago = record.began().and_then(Moment::elapsed).unwrap_or_default();
                Some(now.checked_sub(ago).unwrap_or(now))
            }
        };
        Self {
            ticket: record.job.ticket.map(|ticket| (ticket.ticket_id, ticket.project_id)),
            digest: record.digest.clone(),
            stage: JobStage::Held,
            since: now,
            begun: now,
            launching: None,
            running,
        }
    }

    /// Comes to another stage, and has the phase counted that ends with it.
    pub(super) fn come_to(&mut self, stage: JobStage, tally: &mut Tally) {
        let now = Instant::now();
        match stage {
            JobStage::Launching if self.launching.is_none() => {
                (self.launching, self.running) = (Some(now), None);
            }
            JobStage::InContainer | JobStage::OnHost if self.running.is_none() => {
                let launching = self.launching.unwrap_or(self.begun);
                tally.took(Phase::Launch, now.duration_since(launching));
                tally.took(Phase::Start, now.duration_since(self.begun));
                self.running = Some(now);
            }
            JobStage::Reporting => {
                if let Some(running) = self.running {
                    tally.took(Phase::Run, now.duration_since(running));
                }
            }
            JobStage::Held
            | JobStage::Launching
            | JobStage::InContainer
            | JobStage::OnHost
            | JobStage::Stopping => {}
        }
        (self.stage, self.since) = (stage, now);
    }
}
