//! Labels by which containers, networks and volumes are found again, and a job is known whose record
//! cannot be read.

use std::collections::{BTreeMap, HashMap};

use api_client::wire::Job;

use crate::identity::CoordinatorId;
use crate::ledger::{JobRef, Record, TicketRef};

/// Id of the coordinator.
pub(crate) const COORDINATOR: &str = "terarchitect.coordinator";
/// Id of the job; of an agent's container and of its network.
pub(crate) const JOB: &str = "terarchitect.job";
/// Id of the job; of the gateway beside the agent's container.
pub(crate) const GATEWAY: &str = "terarchitect.gateway";
/// Of a volume that outlives jobs: `project`, `shared` or `docker`.
pub(crate) const CACHE: &str = "terarchitect.cache";
/// Of a volume with what runs of a ticket left: when it was made, in seconds since 1970.
pub(crate) const STATE: &str = "terarchitect.state";
/// Id of the ticket.
pub(crate) const TICKET: &str = "terarchitect.ticket";
/// Id of the project.
pub(crate) const PROJECT: &str = "terarchitect.project";
/// The kind of the job.
const KIND: &str = "terarchitect.kind";
/// The claim by which the job is held, in JSON as the app gives it; absent where it gives none. It opens
/// nothing without the app's key.
const LEASE: &str = "terarchitect.lease";

/// Those of a job's container.
pub(super) fn of_job(job: &Job, id: CoordinatorId) -> BTreeMap<String, String> {
    let lease = job.lease.and_then(|lease| serde_json::to_string(&lease).ok());
    let all = [
        (COORDINATOR, Some(id.to_string())),
        (JOB, Some(job.job_id.to_string())),
        (TICKET, Some(job.ticket_id.to_string())),
        (PROJECT, Some(job.project_id.to_string())),
        (KIND, Some(job.kind.name().to_owned())),
        (LEASE, lease),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The record of a job that nothing is known of but its id, with what the labels of its container tell.
/// One of another coordinator tells nothing: it is of another claim.
pub(crate) fn told_by(
    labels: &HashMap<String, String>,
    id: CoordinatorId,
    record: Record,
) -> Record {
    let of = |name: &str| labels.get(name).map(String::as_str);
    if of(COORDINATOR) != Some(id.to_string().as_str()) {
        return record;
    }
    let ticket = of(TICKET).and_then(|id| id.parse().ok());
    let project = of(PROJECT).and_then(|id| id.parse().ok());
    let ticket = ticket.zip(project);
    let ticket = ticket.map(|(ticket_id, project_id)| TicketRef { ticket_id, project_id });
    let lease = of(LEASE).and_then(|lease| serde_json::from_str(lease).ok());
    let job = JobRef { ticket, ..record.job };
    Record::claimed(job, lease, record.claimed_at).at(record.stage)
}

#[cfg(test)]
mod tests {
    use api_client::ClaimId;
    use api_client::wire::Lease;

    use super::super::fixture::job;
    use super::*;
    use crate::ledger::{Runs, Stage};

    const JOB_FIELDS: &str =
        r#""kind":"ticket","execution_mode":"docker","repo_url":null,"agent_env":{}"#;

    fn id() -> CoordinatorId {
        CoordinatorId::load_or_make(tempfile::tempdir().unwrap().path()).unwrap()
    }

    #[test]
    fn a_job_is_known_by_the_labels_of_its_container_where_they_are_ours() {
        let lease = Some(Lease { claim_id: ClaimId::random(), lease_sec: 90 });
        let (ours, job) = (id(), Job { lease, ..job(JOB_FIELDS) });
        let labels: HashMap<_, _> = of_job(&job, ours).into_iter().collect();
        let stage = Stage::InContainer { image: String::new(), began: None };
        let unknown = Record::claimed(JobRef::unreadable(job.job_id), None, 7).at(stage.clone());
        let known = told_by(&labels, ours, unknown.clone());
        let expected = Record::claimed(JobRef::of(&job, Runs::InContainer), lease, 7).at(stage);
        assert_eq!(known, expected);
        assert_eq!(told_by(&labels, id(), unknown.clone()), unknown);
    }
}
