//! The host's engine, which all jobs share: one at a time unless it is allowed otherwise, and then they
//! have one another's names and ports.

use std::collections::HashMap;
use std::net::TcpListener;
use std::slice;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    RemoveVolumeOptions,
};

use super::host_state::{HostState, Scope};
use super::stage::{After, Stage, assert_told};
use crate::harness::{DockerMode, Engine, at_the_end};

/// How a container finds what others publish on its host.
const HOST: &str = "host.docker.internal";

pub(super) async fn show(engine: &Engine, scope: Scope) -> Vec<String> {
    vec![
        two_slots_are_refused(engine).await,
        one_at_a_time(engine, scope).await,
        shared(engine, scope).await,
    ]
}

/// A port that nothing has at the moment: it is published on this host.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("0.0.0.0", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

async fn stage(engine: &Engine, after: After) -> Stage {
    let at = (HOST, free_port());
    let mut stage = Stage::set(engine, DockerMode::Dood, at, after).await;
    stage.deployment.home.set("AGENT_CACHE_VOLUME", "");
    stage
}

async fn two_slots_are_refused(engine: &Engine) -> String {
    let mut stage = stage(engine, After::Tidy).await;
    stage.deployment.home.set("MAX_CONCURRENT_AGENTS", "2");
    let (code, said) = stage.deployment.home.command(&["run"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("AGENT_DOOD_SHARED=1"), "{said}");
    "two slots are refused, and the way to allow them is named".to_owned()
}

/// Even where the app asks for two.
async fn one_at_a_time(engine: &Engine, scope: Scope) -> String {
    let mut stage = stage(engine, After::Tidy).await;
    let _leavings = Leavings(stage.name.clone());
    stage.deployment.app.set("MAX_CONCURRENT_AGENTS", 2).await;
    let before = HostState::now(engine).await;
    let coordinator = stage.coordinator();
    let [one, two] = stage.two_jobs().await;
    let mut marks = Vec::new();
    for (job, other) in [(&one, &two), (&two, &one)] {
        stage.held(job).await;
        marks.extend(stage.marks(slice::from_ref(job)).await);
        assert_ne!(stage.status(other).await, "running", "{}", stage.log(other));
        stage.release(job).await;
        let report = stage.report(job).await;
        for line in ["run ok, answer own", "after: container running", "tidied"] {
            assert_told(&report, line);
        }
    }
    stage.end(coordinator).await;
    HostState::gone_since(engine, &before, scope, &marks).await;
    "two jobs ran one after the other, though the app allows two, and had the same name and port; \
     nothing was left"
        .to_owned()
}

/// Who comes second is refused both; what workers leave is the host's.
async fn shared(engine: &Engine, scope: Scope) -> String {
    let mut stage = stage(engine, After::Leave).await;
    let leavings = Leavings(stage.name.clone());
    stage.deployment.home.set("MAX_CONCURRENT_AGENTS", "2").set("AGENT_DOOD_SHARED", "1");
    let before = HostState::now(engine).await;
    let coordinator = stage.coordinator();
    let mut jobs = Vec::new();
    for title in ["first", "second"] {
        jobs.push(stage.deployment.add_job(title).await);
        stage.held(&jobs[jobs.len() - 1]).await;
    }
    let marks = stage.marks(&jobs).await;
    let mut reports = Vec::new();
    for job in &jobs {
        stage.release(job).await;
        reports.push(stage.report(job).await);
    }
    let [first, second] = reports.as_slice() else { unreachable!("two jobs") };
    assert_told(first, "run ok");
    assert_told(second, "run failed: ");
    assert_told(second, "is already in use by container");
    assert_told(second, "other name failed: ");
    assert_told(second, "port is already allocated");
    stage.end(coordinator).await;

    let left = HostState::now(engine).await.beyond(&before).marked(slice::from_ref(&stage.name));
    let shown = left.to_string();
    for kind in ["Container", "Image", "Volume", "Network"] {
        assert!(shown.contains(kind), "{shown}");
    }
    drop(leavings);
    HostState::gone_since(engine, &before, scope, &marks).await;
    "with AGENT_DOOD_SHARED=1 the second of two jobs was refused the name and the port of the first; \
     what workers left stayed on the host's engine, and nothing else did"
        .to_owned()
}

/// What workers of a stage made on the host's engine: their containers, network, volume and images.
/// Removed when it is dropped.
struct Leavings(String);

impl Drop for Leavings {
    fn drop(&mut self) {
        let name = self.0.clone();
        at_the_end(async move |docker| {
            let filters = HashMap::from([("name", vec![name.clone()])]);
            let all = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
            for container in docker.list_containers(Some(all)).await.unwrap_or_default() {
                let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                let id = container.id.unwrap_or_default();
                let _gone = docker.remove_container(&id, Some(options)).await;
            }
            // Some may never have been made; the test looks whether any is left.
            let _gone = docker.remove_network(&name).await;
            let _gone = docker.remove_volume(&name, None::<RemoveVolumeOptions>).await;
            for image in [name.clone(), format!("{name}-base")] {
                let _gone = docker.remove_image(&image, None::<RemoveImageOptions>, None).await;
            }
        });
    }
}
