//! When containers started and ended, as the engine itself tells.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_client::JobId;
use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::engine::{COORDINATOR_LABEL, Engine, container_name};

/// Between two tries to reach an engine that has gone away.
const ENGINE_AWAY: Duration = Duration::from_millis(500);

/// A watch on the starts and ends of all containers that have a coordinator.
#[derive(Debug)]
pub struct Starts {
    events: Arc<Mutex<Vec<Event>>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    kind: String,
    container: String,
    coordinator: String,
    /// Nanoseconds since 1970.
    at: i64,
}

impl Starts {
    /// Watches from now on.
    pub fn watch(engine: &Engine) -> Self {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let (docker, kept) = (engine.docker().clone(), Arc::clone(&events));
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let task = tokio::spawn(async move {
            loop {
                take(&docker, begun, &kept).await;
                // The engine was stopped. It is asked again for all that it still knows.
                sleep(ENGINE_AWAY).await;
            }
        });
        Self { events, _task: AbortOnDropHandle::new(task) }
    }

    /// When a job's container started, in nanoseconds since 1970.
    pub fn started(&self, job: JobId) -> Option<i64> {
        self.started_named(&container_name(job))
    }

    /// When the container of this name started, in nanoseconds since 1970.
    pub fn started_named(&self, name: &str) -> Option<i64> {
        let events = self.events.lock().unwrap();
        let mut starts = events.iter().filter(|event| event.kind == "start");
        starts.find(|event| event.container == name).map(|event| event.at)
    }

    /// How often a container of a job was started.
    pub fn count_of(&self, job: JobId) -> usize {
        let name = container_name(job);
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event.kind == "start" && event.container == name).count()
    }

    /// How often containers of a coordinator were started.
    pub fn count(&self, coordinator: &str) -> usize {
        self.of(coordinator).iter().filter(|event| event.kind == "start").count()
    }

    /// The most containers of a coordinator that ran at once.
    pub fn most_at_once(&self, coordinator: &str) -> usize {
        let mut running = BTreeMap::new();
        let mut most = 0;
        for event in self.of(coordinator) {
            match event.kind.as_str() {
                "start" => running.insert(event.container, ()),
                _ => running.remove(&event.container),
            };
            most = most.max(running.len());
        }
        most
    }

    fn of(&self, coordinator: &str) -> Vec<Event> {
        let events = self.events.lock().unwrap();
        let mut of: Vec<Event> =
            events.iter().filter(|event| event.coordinator == coordinator).cloned().collect();
        of.sort_by_key(|event| event.at);
        of
    }
}

/// Takes events until the engine ends the stream; those that were taken before are left out.
async fn take(docker: &Docker, since: u64, kept: &Mutex<Vec<Event>>) {
    let kinds = HashMap::from([
        ("type", vec!["container"]),
        ("event", vec!["start", "die"]),
        ("label", vec![COORDINATOR_LABEL]),
    ]);
    let options = EventsOptionsBuilder::default().since(&since.to_string()).filters(&kinds).build();
    let mut stream = docker.events(Some(options)).boxed();
    let known = kept.lock().unwrap().len();
    while let Some(Ok(message)) = stream.next().await {
        let mut kept = kept.lock().unwrap();
        let new = event(message).filter(|event| !kept[..known].contains(event));
        kept.extend(new);
    }
}

fn event(message: EventMessage) -> Option<Event> {
    let attributes = message.actor?.attributes?;
    Some(Event {
        kind: message.action?,
        container: attributes.get("name")?.clone(),
        coordinator: attributes.get(COORDINATOR_LABEL)?.clone(),
        at: message.time_nano?,
    })
}
