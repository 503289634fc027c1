//! Two jobs at once, each with an engine of its own or with none.

use std::time::Instant;

use super::host_state::{HostState, Kind, Scope};
use super::stage::{After, Stage, assert_told};
use crate::harness::{DockerMode, Engine};

/// Published in every container: each has a network of its own.
const PORT: u16 = 8080;

pub(super) async fn show(engine: &Engine, mode: DockerMode, scope: Scope) -> Vec<String> {
    let at = ("127.0.0.1", PORT);
    let mut stage = Stage::set(engine, mode, at, After::Leave).await;
    stage.deployment.home.set("MAX_CONCURRENT_AGENTS", "2").set("AGENT_CACHE_VOLUME", "");
    let before = HostState::now(engine).await;
    let coordinator = stage.coordinator();
    let begun = Instant::now();
    let jobs = stage.two_jobs().await;
    for job in &jobs {
        stage.held(job).await;
    }
    let held = begun.elapsed();
    let marks = stage.marks(&jobs).await;
    let during = HostState::now(engine).await.beyond(&before).marked(&marks);
    let mut facts = vec![there(mode, &during)];
    for job in &jobs {
        if mode.has_engine() {
            let inside = stage.containers_inside(job).await;
            let expected = format!("{} 0.0.0.0:{PORT}->8080/tcp", stage.name);
            assert!(inside.contains(&expected), "{inside}");
        }
        stage.release(job).await;
    }
    for job in &jobs {
        let report = stage.report(job).await;
        check(mode, &report);
    }
    stage.end(coordinator).await;
    let ended = Instant::now();
    HostState::gone_since(engine, &before, scope, &marks).await;
    facts.push(match mode.has_engine() {
        true => format!(
            "two jobs at once had a container {} on port {PORT}, each its own, {:.1} s after they were added",
            stage.name,
            held.as_secs_f64()
        ),
        false => "two jobs at once found no engine and no socket".to_owned(),
    });
    facts.push(format!("nothing of it was left {:.1} s later", ended.elapsed().as_secs_f64()));
    facts
}

/// Whether what has to go in the end was there and was seen.
fn there(mode: DockerMode, during: &HostState) -> String {
    let mut expected = vec![
        (Kind::Container, 2),
        (Kind::Network, 2),
        (Kind::Interface, 2),
        (Kind::Mount, 2),
        (Kind::ControlGroup, 2),
        (Kind::Process, 2),
    ];
    if mode.has_engine() {
        expected.push((Kind::Volume, 2));
        let daemons = during.marked(&["dockerd ".to_owned()]).count(Kind::Process);
        assert!(daemons >= 2, "{daemons} inner daemons:\n{during}");
    }
    let mut words = Vec::new();
    for (kind, least) in expected {
        let count = during.count(kind);
        assert!(count >= least, "{count} of {kind:?}:\n{during}");
        words.push(format!("{kind:?} {count}"));
    }
    format!("on the host meanwhile: {}", words.join(", "))
}

fn check(mode: DockerMode, report: &str) {
    if !mode.has_engine() {
        assert_eq!(report, "engine none\n");
        return;
    }
    for line in [
        "engine found",
        "before: containers 0 volumes 0 images 0",
        "run ok, answer own",
        // A name that the host's engine tells on the job's network alone.
        "own name known",
        "after: container running",
    ] {
        assert_told(report, line);
    }
    assert!(!report.contains("failed"), "{report}");
}
