//! What is there when a scene is over.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use api_client::JobId;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use tokio::time::{Instant, sleep};

use super::point::TEMPORARY;
use super::scene::Scene;
use crate::harness::{COORDINATOR_LABEL, Engine, Starts};

/// Files of the directory of records that are no records.
const NOT_RECORDS: &[&str] = &[".probe"];

/// How long a process may take to end once its work is known to be done.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// Between two looks at processes.
const LOOK: Duration = Duration::from_millis(50);

/// All that a scene is judged by.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) jobs: Vec<JobEvidence>,
    /// What should be gone, each by a name.
    pub(super) left: Vec<String>,
    /// What was there and went by `coordinator gc`.
    pub(super) swept: Vec<String>,
}

/// What became of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobEvidence {
    pub(super) job: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    /// The statuses of the answers to its reports; none for one whose answer was not seen.
    pub(super) reports: Vec<Option<u16>>,
    /// How often a container of it was started, by the engine's own account.
    pub(super) starts: usize,
    /// How often its agent ran, by the agent's own account.
    pub(super) runs: usize,
    /// Whether a coordinator that was killed had it on record.
    pub(super) recorded: bool,
    /// Whether its ticket has a volume of state.
    pub(super) state: bool,
}

impl Evidence {
    /// Looks at everything. The coordinator has ended by now.
    pub(super) async fn gather(scene: &mut Scene, engine: &Engine, starts: &Starts) -> Self {
        let queue = scene.jobs_now().await;
        let tickets: Vec<_> = queue.iter().map(|job| job.ticket_id.to_string()).collect();
        let mut jobs = Vec::new();
        for job in queue {
            let id = job.job_id;
            let runs = scene.runs(id);
            jobs.push(JobEvidence {
                job: id.to_string(),
                status: job.status,
                reason: job.fail_reason,
                reports: scene.journal.reports(id),
                starts: starts_of(scene, starts, id, runs).await,
                runs,
                recorded: scene.recorded.contains(&id),
                state: false,
            });
        }
        let begun = Instant::now();
        while scene.journal.is_making() && begun.elapsed() < LAST_STEPS {
            sleep(LOOK).await;
        }
        let found = leftovers_of_engine(scene, engine).await;
        let mut left = found.clone();
        if !found.is_empty() {
            scene.home.command(&["gc"]).await;
            left = leftovers_of_engine(scene, engine).await;
        }
        let swept = found.into_iter().filter(|name| !left.contains(name)).collect();
        left.extend(processes(scene).await);
        left.extend(files(scene));
        let mut states = states_left(scene, engine).await;
        for (job, ticket) in jobs.iter_mut().zip(tickets) {
            job.state = states.extract_if(.., |name| name.contains(&ticket)).count() > 0;
        }
        left.extend(states.into_iter().map(|name| format!("volume {name} of no job's ticket")));
        Self { jobs, left, swept }
    }
}

/// The engine tells a start a little later than the agent that was started; one that was stopped
/// meanwhile never does.
async fn starts_of(scene: &Scene, starts: &Starts, job: JobId, runs: usize) -> usize {
    let (begun, on_host) = (Instant::now(), scene.home.host_runs().len());
    loop {
        let count = starts.count_of(job);
        if count + on_host >= runs || begun.elapsed() > LAST_STEPS {
            return count;
        }
        sleep(LOOK).await;
    }
}

/// The volumes with the state of tickets, which outlive jobs, once housekeeping has looked at them.
async fn states_left(scene: &mut Scene, engine: &Engine) -> Vec<String> {
    let Some(id) = scene.home.id() else { return Vec::new() };
    if !engine.states(&id).await.is_empty() {
        scene.home.command(&["gc"]).await;
    }
    engine.states(&id).await
}

async fn leftovers_of_engine(scene: &Scene, engine: &Engine) -> Vec<String> {
    let Some(id) = scene.home.id() else { return Vec::new() };
    let docker = engine.docker();
    let filters = HashMap::from([("label", vec![format!("{COORDINATOR_LABEL}={id}")])]);
    let mut left: Vec<String> = engine
        .containers(&id)
        .await
        .into_iter()
        .map(|container| format!("container {}", container.names.unwrap_or_default().concat()))
        .collect();
    left.extend(engine.volumes(&id).await.into_iter().map(|name| format!("volume {name}")));
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let networks = docker.list_networks(Some(options)).await.expect("the engine answers");
    let names = networks.into_iter().map(|network| network.name.unwrap_or_default());
    left.extend(names.map(|name| format!("network {name}")));
    left
}

/// What is still there after a while of the processes that are about to end.
async fn processes(scene: &Scene) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let left = processes_now(scene);
        if left.is_empty() || begun.elapsed() > LAST_STEPS {
            return left;
        }
        sleep(LOOK).await;
    }
}

/// Processes that have the scene's folder among their arguments: agents on the host and what keeps
/// them.
fn processes_now(scene: &Scene) -> Vec<String> {
    let folder = scene.home.dir().display().to_string();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let lines = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        // What shows the changes of files is the campaign's own.
        let ours = line.contains(&folder) && !line.starts_with("strace ");
        ours.then(|| format!("process {} ({})", entry.file_name().display(), line.trim()))
    });
    lines.collect()
}

fn files(scene: &Scene) -> Vec<String> {
    let mut left = Vec::new();
    for folder in ["jobs", "host"] {
        // What was never made holds nothing.
        let records = names(scene, folder).into_iter();
        let records = records.filter(|name| !NOT_RECORDS.contains(&name.as_str()));
        left.extend(records.map(|name| format!("file {folder}/{name}")));
    }
    let temporary = names(scene, "").into_iter().filter(|name| name.starts_with(TEMPORARY));
    left.extend(temporary.map(|name| format!("file {name}")));
    left
}

/// The names in a folder of the state directory.
fn names(scene: &Scene, folder: &str) -> Vec<String> {
    // What was never made holds nothing.
    let Ok(entries) = fs::read_dir(scene.home.state_dir().join(folder)) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}
