//! Where the runs of a ticket leave what the next of them needs to go on, should one be killed: a volume of the
//! ticket's.
//!
//! One for each ticket, so that no agent finds what another ticket left. What is in it is the agent's matter: it
//! removes it when the work came to its end. The volume goes where the ticket's last job left nothing in it, else after
//! its time ([`housekeeping`](crate::housekeeping)).

use std::collections::BTreeMap;

use api_client::contract::{STATE_DIR_IN_CONTAINER, env};
use api_client::wire::{Job, JobKind};
use api_client::{TicketId, error_chain};

use super::label;
use crate::clock;
use crate::context::Context;
use crate::engine::{ContainerSpec, MountSpec};
use crate::identity::CoordinatorId;

/// The name of a ticket's volume.
fn state_volume(ticket: TicketId, id: CoordinatorId) -> String {
    format!("terarchitect-state-{ticket}-{id}")
}

/// Gives the container of a job on a ticket the volume, and tells the agent of it. An engine that makes none is no
/// reason not to do the job.
pub(super) async fn give_state(ctx: &Context, job: &Job, spec: &mut ContainerSpec) {
    let Some(mount) = state_mount(job, ctx.id, clock::now()) else { return };
    if let Err(error) = ctx.engine.make_volumes(std::slice::from_ref(&mount)).await {
        let error = error_chain(&error);
        tracing::warn!(job.id = %job.job_id, error, "a run that is killed could not be gone on with");
        return;
    }
    mount_state(spec, mount);
}

/// The volume of a job on a ticket, which is made `now` (seconds since 1970) if it is not there.
fn state_mount(job: &Job, id: CoordinatorId, now: u64) -> Option<MountSpec> {
    let JobKind::Ticket = job.kind else { return None };
    let labels = [
        (label::COORDINATOR, id.to_string()),
        (label::STATE, now.to_string()),
        (label::TICKET, job.ticket_id.to_string()),
        (label::PROJECT, job.project_id.to_string()),
    ];
    Some(MountSpec::Volume {
        name: state_volume(job.ticket_id, id),
        target: STATE_DIR_IN_CONTAINER.to_owned(),
        labels: BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value))),
    })
}

fn mount_state(spec: &mut ContainerSpec, mount: MountSpec) {
    spec.mounts.push(mount);
    spec.env.insert(env::AGENT_STATE_DIR.to_owned(), STATE_DIR_IN_CONTAINER.to_owned());
}

#[cfg(test)]
mod tests {
    use super::super::document::job_document;
    use super::super::fixture::{config, job};
    use super::super::spec::{Surroundings, container_spec, view};
    use super::*;
    use crate::ledger::{JobRef, Record, Runs};

    fn given(kind: &str) -> ContainerSpec {
        let id = CoordinatorId::load_or_make(tempfile::tempdir().unwrap().path()).unwrap();
        let job = job(&format!(
            r#""kind":"{kind}","pr_number":9,"comment_body":"x","github_comment_id":5,
                "execution_mode":"docker","repo_url":null,"agent_env":{{}}"#
        ));
        let config = config(&[]);
        let record = Record::claimed(JobRef::of(&job, Runs::InContainer), None, 0);
        let document = job_document(&record, &job, &config, view(&config.agent), None);
        let (image, around) = ("image:1".to_owned(), Surroundings::default());
        let mut spec = container_spec(&job, &config, id, image, &document, around);
        if let Some(mount) = state_mount(&job, id, 7) {
            mount_state(&mut spec, mount);
        }
        assert!(spec.mounts.iter().all(|mount| match mount {
            MountSpec::Volume { name, labels, .. } if labels.contains_key(label::STATE) =>
                name.contains(&job.ticket_id.to_string()) && labels[label::STATE] == "7",
            _ => true,
        }));
        spec
    }

    #[test]
    fn the_volume_is_the_tickets_and_a_review_has_none() {
        let target = |spec: &ContainerSpec| match spec.mounts.last() {
            Some(MountSpec::Volume { target, .. }) => Some(target.clone()),
            _ => None,
        };
        let (ticket, review) = (given("ticket"), given("review"));
        assert_eq!(target(&ticket).as_deref(), Some("/var/lib/agent-state"));
        assert_eq!(ticket.env["AGENT_STATE_DIR"], "/var/lib/agent-state");
        assert_ne!(target(&review).as_deref(), Some("/var/lib/agent-state"));
        assert!(!review.env.contains_key("AGENT_STATE_DIR"));
    }
}
