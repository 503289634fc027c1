//! The life of the service: jobs go on whatever becomes of the coordinator.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::report::{Shown, shown};
use super::scene::{HEALTH, Scene};
use crate::harness::{GO_IN_IMAGE, KEY, eventually, install_claude};

const UNIT: &str = "terarchitect-coordinator";

/// Where the sandbox of the unit is opened for agents on the host.
const DROP_IN: &str = "/etc/systemd/system/terarchitect-coordinator.service.d";

/// A job runs in a container, to its pull request.
pub(super) async fn delivered(scene: &mut Scene) -> Shown<()> {
    let begun = Instant::now();
    let jobs = scene.hold(1).await;
    let held = begun.elapsed();
    scene.release(&jobs).await;
    let pull = scene.delivered(jobs[0].job_id).await;
    shown(format!(
        "{} s from the queue to its worker; #{} {:?} from {}",
        held.as_secs_f32(),
        pull.number,
        pull.title,
        pull.head
    ))
}

/// The lines of a job are found by its id, with the other ids as fields.
pub(super) async fn journal(scene: &mut Scene) -> Shown<()> {
    let jobs = scene.hold(1).await;
    scene.release(&jobs).await;
    let (job, ticket) = (jobs[0].job_id.to_string(), jobs[0].ticket_id.to_string());
    let text = scene.machine.ok(&format!("journalctl -u {UNIT} -o json JOB_ID={job}")).await;
    let entries: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(entries.len() > 2, "{text}");
    let has = |name: &str, value: &str| entries.iter().any(|entry| entry[name] == value);
    assert!(has("TICKET_ID", &ticket), "no TICKET_ID: {text}");
    assert!(has("PROJECT_ID", &scene.project.to_string()), "no PROJECT_ID: {text}");
    assert!(
        entries.iter().any(|entry| entry["CONTAINER_ID"].is_string()),
        "no CONTAINER_ID: {text}"
    );
    let lines: Vec<_> = entries.iter().filter_map(|entry| entry["MESSAGE"].as_str()).collect();
    assert!(lines.iter().any(|line| line.contains("completed")), "{lines:?}");
    shown(format!("{} lines by JOB_ID; with TICKET_ID, PROJECT_ID, CONTAINER_ID", entries.len()))
}

/// `systemctl restart` touches no container.
pub(super) async fn restarted(scene: &mut Scene) -> Shown<()> {
    let jobs = scene.hold(3).await;
    let (before, pid) = (scene.containers().await, scene.up(None).await);
    assert_eq!(before.lines().count(), 3, "{before}");
    let begun = Instant::now();
    scene.machine.ok(&format!("systemctl restart {UNIT}")).await;
    let took = begun.elapsed();
    scene.up(Some(&pid)).await;
    assert_eq!(scene.containers().await, before);
    scene.release(&jobs).await;
    shown(format!("3 containers the same, 3 pull requests; {} ms", took.as_millis()))
}

/// A coordinator that hangs is ended by systemd's watchdog; the next one goes on with the jobs.
pub(super) async fn hung(scene: &mut Scene) -> Shown<()> {
    let jobs = scene.hold(3).await;
    let (before, pid) = (scene.containers().await, scene.up(None).await);
    let restarts = scene.restarts().await;
    scene.machine.ok(&format!("kill -STOP {pid}")).await;
    let begun = Instant::now();
    eventually("the watchdog", async || (scene.restarts().await > restarts).then_some(())).await;
    scene.up(Some(&pid)).await;
    let took = begun.elapsed();
    let said = format!("journalctl -u {UNIT} | grep -i watchdog | tail -n 1");
    let said = scene.machine.ok(&said).await;
    assert!(said.contains("watchdog"), "{said}");
    assert_eq!(scene.containers().await, before);
    scene.release(&jobs).await;
    shown(format!("up again after {} s, 3 containers the same, 3 pull requests", took.as_secs()))
}

/// The same when it is killed.
pub(super) async fn killed(scene: &mut Scene) -> Shown<()> {
    let jobs = scene.hold(3).await;
    let (before, pid) = (scene.containers().await, scene.up(None).await);
    scene.machine.ok(&format!("kill -KILL {pid}")).await;
    let begun = Instant::now();
    scene.up(Some(&pid)).await;
    let took = begun.elapsed();
    assert_eq!(scene.containers().await, before);
    scene.release(&jobs).await;
    shown(format!("up again after {:.1} s, 3 containers the same", took.as_secs_f32()))
}

/// A key that the app no longer takes shows at once, wherever one looks.
pub(super) async fn revoked(scene: &mut Scene) -> Shown<()> {
    scene.app.change_key("another-key-for-tests-77aa").await;
    let begun = Instant::now();
    let named = "TERARCHITECT_WORKER_API_KEY";
    let mut seen = Vec::new();
    for (place, script) in [
        ("status", format!("systemctl status {UNIT} --no-pager -n 0")),
        ("journal", format!("journalctl -u {UNIT} -n 20 -o cat")),
        (
            "/ready",
            format!("curl -s -w %{{http_code}} http://{HEALTH}/ready | tr -d '\\n' | grep '503$'"),
        ),
        ("coordinator status", "coordinator status".to_owned()),
    ] {
        eventually(&format!("{place} to name the key"), async || {
            scene.machine.run(&script).await.text.contains(named).then_some(())
        })
        .await;
        seen.push(format!("{place} {:.1} s", begun.elapsed().as_secs_f32()));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{seen:?}");
    let checked = scene.machine.run("coordinator check").await;
    // First, so that the steps after this one have their app whatever was found.
    scene.app.change_key(KEY).await;
    assert_eq!(checked.code, 1, "check: {}", checked.text);
    assert!(checked.text.contains(named), "check: {}", checked.text);
    let jobs = scene.hold(1).await;
    scene.release(&jobs).await;
    shown(format!(
        "named by {}, check exit 1; the old key again: a job went through",
        seen.join(", ")
    ))
}

/// An agent on the host lives in the sandbox of the unit, and outlives its coordinator.
pub(super) async fn on_host(scene: &mut Scene) -> Shown<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    install_claude(folder.path());
    let claude = scene.machine.put(&folder.path().join("claude")).await;
    scene.machine.ok(&format!("install -m 755 {claude} /usr/local/bin/claude")).await;
    scene.write_settings("HOST_FALLBACK=always\n").await;
    scene.machine.ok(&format!("systemctl restart {UNIT}")).await;
    let job = scene.app.add_job(scene.project).await;
    let worker = worker(scene).await;
    let owner = scene.machine.ok(&format!("stat -c %U /proc/{worker}")).await;
    assert_eq!(owner, "terarchitect");
    let pid = scene.up(None).await;
    scene.machine.ok(&format!("systemctl restart {UNIT}")).await;
    scene.up(Some(&pid)).await;
    scene.machine.ok(&format!("test -d /proc/{worker} && touch {GO_IN_IMAGE}")).await;
    scene.delivered(job.job_id).await;
    scene.machine.ok(&format!("rm {GO_IN_IMAGE}")).await;
    shown("as terarchitect, through a restart, to its pull request")
}

/// With the drop-in the coordinator is root, and an agent has a user and a scope in the slice.
pub(super) async fn in_slice(scene: &mut Scene) -> Shown<()> {
    let machine = &scene.machine;
    machine.ok("useradd --create-home builder").await;
    machine
        .ok(&format!(
            "install -D -m 644 /usr/share/terarchitect/host-runs.conf {DROP_IN}/host-runs.conf"
        ))
        .await;
    scene.write_settings("HOST_FALLBACK=always\nHOST_USER=builder\n").await;
    machine.ok(&format!("systemctl daemon-reload && systemctl restart {UNIT}")).await;
    let job = scene.app.add_job(scene.project).await;
    let worker = worker(scene).await;
    let owner = machine.ok(&format!("stat -c %U /proc/{worker}")).await;
    assert_eq!(owner, "builder");
    let groups = machine.ok(&format!("cat /proc/{worker}/cgroup")).await;
    let slice = "/terarchitect.slice/terarchitect-agents.slice/terarchitect-job-";
    assert!(groups.contains(slice), "{groups}");
    let limit =
        machine.ok("systemctl show terarchitect-agents.slice -p TasksMax,MemorySwapMax").await;
    machine.ok(&format!("touch {GO_IN_IMAGE}")).await;
    scene.delivered(job.job_id).await;
    let machine = &scene.machine;
    machine.ok(&format!("rm -r {GO_IN_IMAGE} {DROP_IN}")).await;
    scene.write_settings("").await;
    machine.ok(&format!("systemctl daemon-reload && systemctl restart {UNIT}")).await;
    let limit = limit.replace('\n', ", ");
    shown(format!(
        "as builder, in a scope of terarchitect-agents.slice ({limit}), to its pull request"
    ))
}

/// The process of the coding CLI on the host, once it waits.
async fn worker(scene: &Scene) -> String {
    eventually("a worker on the host", async || {
        let found = scene.machine.run("pgrep -f '[/]usr/local/bin/claude' | head -n 1").await.text;
        (!found.is_empty()).then_some(found)
    })
    .await
}
