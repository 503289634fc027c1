//! The life of the package: installed, configured, upgraded, removed, purged.

use std::path::Path;
use std::time::Instant;

use super::report::{Shown, shown};
use super::scene::{ENV_FILE, MADE_IMAGE, Scene, lay_out_image};

const UNIT: &str = "terarchitect-coordinator";

/// What is where after an installation.
const FILES: &str = "coordinator --version && agent-runner --version \
    && test -f /usr/share/terarchitect/Dockerfile.agent \
    && test -x /usr/share/terarchitect/packaging/slim-aider \
    && test -f /usr/share/man/man8/coordinator.8.gz \
    && test -f /usr/share/bash-completion/completions/coordinator \
    && test \"$(stat -c '%a %U' /etc/terarchitect/coordinator.env)\" = '600 root' \
    && ! grep -q '^[^#]' /etc/terarchitect/coordinator.env \
    && id -nG terarchitect | grep -qw docker";

/// Everything that would have our name.
const TRACES: &str = "find /etc /usr /var/lib /run /lib/systemd -xdev -iname '*terarchitect*' \
    -not -path '/var/lib/docker/*' -not -path '/var/lib/dpkg/*'; \
    docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom; \
    getent passwd terarchitect; getent group terarchitect; pgrep -lx coordinator; pgrep -lx agent-runner";

/// Installs the package: everything is in its place, and nothing runs.
pub(super) async fn installed(scene: &mut Scene, package: &Path) -> Shown<()> {
    let path = scene.machine.put(package).await;
    let begun = Instant::now();
    let said = scene.machine.ok(&scene.kind.install(&path)).await;
    let took = begun.elapsed();
    assert!(said.contains("systemctl enable --now"), "{said}");
    scene.machine.ok(FILES).await;
    let state = scene
        .machine
        .run(&format!("systemctl is-active {UNIT}; systemctl is-enabled {UNIT}"))
        .await;
    assert_eq!(state.text, "inactive\ndisabled");
    let verified = "systemd-analyze verify /lib/systemd/system/terarchitect-coordinator.service 2>&1 \
        | grep terarchitect | grep -v -e Restart -e 'man coordinator' || true";
    assert_eq!(scene.machine.ok(verified).await, "");
    let size = scene.machine.ok(scene.kind.size()).await;
    shown(format!("{} ms, {size} KiB installed", took.as_millis()))
}

/// Without settings the service says what is missing, and systemd does not try again and again.
pub(super) async fn refused(scene: &mut Scene) -> Shown<()> {
    let done = scene.machine.run(&format!("systemctl start {UNIT}")).await;
    assert_ne!(done.code, 0);
    let shown_state = scene.property("ExecMainStatus,NRestarts,ActiveState").await;
    for line in ["ExecMainStatus=2", "NRestarts=0", "ActiveState=failed"] {
        assert!(shown_state.contains(line), "{shown_state}");
    }
    let said = scene.machine.ok(&format!("journalctl -u {UNIT} -o cat")).await;
    assert!(said.contains("TERARCHITECT_API_URL"), "{said}");
    shown("exit 2, TERARCHITECT_API_URL named in the journal, no restart")
}

/// The package makes the agent's image, under the name in the settings.
pub(super) async fn image_made(scene: &mut Scene) -> Shown<()> {
    scene.write_settings("").await;
    lay_out_image(&scene.machine, "/root/share", "").await;
    let begun = Instant::now();
    let said = scene.machine.ok("coordinator image build --from /root/share 2>&1").await;
    let took = begun.elapsed();
    assert!(said.contains("step ") && said.contains(MADE_IMAGE), "{said}");
    let listed = scene.machine.ok("coordinator image list").await;
    let ours = listed.lines().find(|line| line.starts_with(MADE_IMAGE)).unwrap_or_default();
    assert!(ours.contains(", matches") && ours.ends_with("all others"), "{listed}");
    // The package's own has the stage and the files that are needed.
    let own = scene
        .machine
        .run("coordinator image build --build-arg BASE_IMAGE=no/such:image 2>&1")
        .await;
    assert!(own.code == 1 && own.text.contains("FROM $BASE_IMAGE"), "{}", own.text);
    shown(format!("in {} ms, on top of a small one", took.as_millis()))
}

/// With settings it starts, as its own user and in its sandbox.
pub(super) async fn started(scene: &mut Scene) -> Shown<()> {
    scene.write_settings("").await;
    let begun = Instant::now();
    scene.machine.ok(&format!("systemctl enable --now {UNIT} 2>&1")).await;
    let took = begun.elapsed();
    let pid = scene.up(None).await;
    let owner = scene
        .machine
        .ok(&format!("stat -c %U /proc/{pid}; stat -c '%a %U' /var/lib/terarchitect"))
        .await;
    // What hides its memory belongs to root.
    assert!(owner.ends_with("700 terarchitect"), "{owner}");
    let exposure = "systemd-analyze security terarchitect-coordinator --no-pager | tail -n 1 | grep -o '[0-9]*[.][0-9]'";
    let exposure = scene.machine.ok(exposure).await;
    let memory = scene.property("MemoryCurrent").await;
    shown(format!("up in {} ms; systemd-analyze security: {exposure}; {memory}", took.as_millis()))
}

/// A second coordinator on the same machine.
pub(super) async fn instance(scene: &mut Scene) -> Shown<()> {
    scene.write_settings_to("/etc/terarchitect/second.env", "").await;
    scene.machine.ok(&format!("systemctl stop {UNIT} && systemctl start {UNIT}@second")).await;
    let jobs = scene.hold(1).await;
    let ids = scene
        .machine
        .ok("test -S /var/lib/terarchitect-instances/second/control.sock \
            && docker ps --filter label=terarchitect.coordinator=$(cat /var/lib/terarchitect-instances/second/coordinator-id) -q")
        .await;
    assert_eq!(ids.lines().count(), 1, "{ids}");
    scene.release(&jobs).await;
    scene.machine.ok(&format!("systemctl stop {UNIT}@second && systemctl start {UNIT}")).await;
    scene.machine.ok("rm /etc/terarchitect/second.env").await;
    shown("own settings, own state, a job to its pull request")
}

/// An upgrade starts the service anew, and touches no job and no setting, though a stop would end the agents.
pub(super) async fn upgraded(scene: &mut Scene, package: &Path) -> Shown<()> {
    scene.write_settings("ON_STOP=stop\n").await;
    scene.machine.ok(&format!("systemctl restart {UNIT}")).await;
    let jobs = scene.hold(3).await;
    let (before, pid) = (scene.containers().await, scene.up(None).await);
    let settings = scene.machine.ok(&format!("sha256sum {ENV_FILE}")).await;
    let path = scene.machine.put(package).await;
    let begun = Instant::now();
    scene.machine.ok(&scene.kind.upgrade(&path)).await;
    let took = begun.elapsed();
    scene.up(Some(&pid)).await;
    assert_eq!(scene.containers().await, before);
    assert_eq!(scene.machine.ok(&format!("sha256sum {ENV_FILE}")).await, settings);
    scene.release(&jobs).await;
    scene.write_settings("").await;
    scene.machine.ok(&format!("systemctl restart {UNIT}")).await;
    let version = scene.machine.ok(scene.kind.version()).await;
    shown(format!(
        "to {version} in {} ms, 3 containers the same, 3 pull requests",
        took.as_millis()
    ))
}

/// A removal stops the service; the job's container goes on, and what is known of it stays.
pub(super) async fn removed(scene: &mut Scene) -> Shown<()> {
    scene.hold(1).await;
    let before = scene.containers().await;
    let said = scene.machine.ok("dpkg -r terarchitect-coordinator").await;
    assert_eq!(scene.containers().await, before);
    assert_ne!(scene.machine.run("pgrep coordinator").await.code, 0, "it runs on");
    scene.machine.ok(&format!("test -d /var/lib/terarchitect/jobs && test -f {ENV_FILE}")).await;
    assert!(said.contains("kept"), "{said}");
    shown("its container goes on; state and settings are kept")
}

/// Installed again, it takes up the job that went on meanwhile.
pub(super) async fn again(scene: &mut Scene, package: &Path) -> Shown<()> {
    let path = scene.machine.put(package).await;
    let running =
        scene.machine.ok("docker ps --format '{{.Names}}' --filter label=terarchitect.job").await;
    let install = scene.kind.install(&path);
    scene.machine.ok(&format!("{install} && systemctl enable --now {UNIT} 2>&1")).await;
    scene.machine.ok(&format!("docker exec -u 0 {running} touch /usr/local/bin/go")).await;
    let job = running.trim_start_matches("terarchitect-").parse().expect("a job's container");
    scene.delivered(job).await;
    shown("its pull request is there")
}

/// A purge leaves nothing of ours, and says what it leaves of others'.
pub(super) async fn purged(scene: &mut Scene) -> Shown<()> {
    scene.hold(1).await;
    let said = scene.machine.ok(scene.kind.purge()).await;
    let left = scene.machine.run(TRACES).await.text;
    assert_eq!(left, "", "{said}");
    let left: Vec<_> = said.lines().filter_map(|line| line.split_once("left: ")).collect();
    let left: Vec<_> = left.into_iter().map(|(_, what)| what).collect();
    shown(format!("no file, user, process, container, volume or network; it says: {left:?}"))
}
