//! Agents on this host: what they are given, and what they cannot reach. Only root can run them as
//! another user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use integration_tests::harness::{eventually, process_runs};
use nix::unistd::User;
use uuid::Uuid;

use crate::scene::Scene;

/// A user that is on every machine and has nothing.
const NOBODY: &str = "nobody";

/// How many processes' environments can be read that hold the key of the worker API.
const COUNT_ENVIRONMENTS: &str = "echo environments: $(grep -al TERARCHITECT_WORKER_API_KEY= \
    /proc/[0-9]*/environ 2>/dev/null | wc -l)";

/// Tells what of the coordinator's folder can be listed, or read.
const LIST_STATE: &str = "echo state: $(ls ${0%/*}/state 2>/dev/null | wc -l) \
    $(cat ${0%/*}/state/jobs/* 2>/dev/null | wc -l)";

/// A scene whose every job runs on this host, in a folder that others may enter.
async fn on_host(script: &str) -> Option<Scene> {
    let mut scene = Scene::or_skip(script).await?;
    scene.home.set("HOST_FALLBACK", "always");
    open_to_others(&scene);
    Some(scene)
}

/// Lets an agent of another user run the stub.
pub(crate) fn open_to_others(scene: &Scene) {
    let dir = scene.home.dir();
    fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.join("host-runs"), "").unwrap();
    fs::set_permissions(dir.join("host-runs"), Permissions::from_mode(0o666)).unwrap();
}

fn give_away(path: &Path, user: &User) {
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path(), user);
        }
    }
}

#[tokio::test]
async fn an_agent_of_another_user_reads_nothing_of_the_coordinators() {
    let script = format!("echo user: $(id -un) $HOME $USER; {COUNT_ENVIRONMENTS}; {LIST_STATE}");
    let Some(mut scene) = on_host(&script).await else { return };
    scene.home.set("HOST_USER", NOBODY);
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    let printed = scene.home.job_log(job.job_id);
    assert_eq!(ended.status, "completed", "{:?} {printed}", ended.fail_reason);
    let nobody = User::from_name(NOBODY).unwrap().unwrap();
    let user = format!("user: {NOBODY} {} {NOBODY}\n", nobody.dir.display());
    assert!(printed.contains(&user), "{printed}");
    assert!(printed.contains("environments: 0\n"), "{printed}");
    assert!(printed.contains("state: 0 0\n"), "{printed}");
    assert_eq!(scene.home.host_runs().len(), 1);
    coordinator.terminate().await;
}

#[tokio::test]
async fn an_agent_of_the_coordinators_own_user_cannot_read_its_environment() {
    let script = format!("echo user: $(id -un); {COUNT_ENVIRONMENTS}");
    let Some(mut scene) = on_host(&script).await else { return };
    let nobody = User::from_name(NOBODY).unwrap().unwrap();
    give_away(scene.home.dir(), &nobody);
    let job = scene.add_job().await;
    let ids = [format!("--reuid={}", nobody.uid), format!("--regid={}", nobody.gid)];
    let wrapper = [&["setpriv".to_owned()], &ids[..], &["--clear-groups".to_owned()]].concat();
    let coordinator = scene.home.start_under(&wrapper);

    let ended = scene.app.ended(job.job_id).await;
    let printed = scene.home.job_log(job.job_id);
    assert_eq!(ended.status, "completed", "{:?} {printed}", ended.fail_reason);
    assert!(printed.contains(&format!("user: {NOBODY}\n")), "{printed}");
    assert!(printed.contains("environments: 0\n"), "{printed}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn what_an_agent_puts_into_the_folder_for_temporary_files_goes_with_it() {
    let name = Uuid::new_v4();
    // The home of this test is below /tmp, so that it is left as it is.
    let script = format!("echo in $TMPDIR; echo x >/var/tmp/{name}; ls $TMPDIR");
    let Some(mut scene) = on_host(&script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    let printed = scene.home.job_log(job.job_id);
    assert_eq!(ended.status, "completed", "{:?} {printed}", ended.fail_reason);
    assert!(printed.contains(&format!("in /var/tmp\n{name}\n")), "{printed}");
    assert!(!Path::new("/var/tmp").join(name.to_string()).exists());
    let notes = scene.home.state_dir().join("host");
    eventually("the notes to be removed", async || {
        let left = fs::read_dir(&notes).map(Iterator::count);
        (left.unwrap_or(0) == 0).then_some(())
    })
    .await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_process_that_an_agent_leaves_behind_ends_with_it() {
    let script = "setsid sh -c 'echo $$ >${0%/*}/left; exec sleep 1000' $0 & \
                  until [ -s ${0%/*}/left ]; do sleep 0.05; done";
    let Some(mut scene) = on_host(script).await else { return };
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    assert_eq!(ended.status, "completed", "{:?}", ended.fail_reason);
    let left = fs::read_to_string(scene.home.dir().join("left")).unwrap();
    assert!(!process_runs(left.trim().parse().unwrap()));
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_local_project_that_the_settings_do_not_allow_fails_without_a_run() {
    for (name, value) in [("HOST_LOCAL", "never"), ("AGENT_EGRESS", "none")] {
        let Some(mut scene) = Scene::or_skip("exit 0").await else { return };
        scene.home.set(name, value);
        let project = scene.app.add_local_project(scene.home.dir()).await;
        let job = scene.app.add_job(project).await;
        let coordinator = scene.home.start();

        let ended = scene.app.ended(job.job_id).await;
        let reason = ended.fail_reason.unwrap_or_default();
        assert!(reason.starts_with("could not be started: "), "{reason}");
        assert!(reason.contains(&format!("{name}={value}")), "{reason}");
        assert!(scene.home.host_runs().is_empty());
        coordinator.terminate().await;
    }
}

#[tokio::test]
async fn a_runner_that_cannot_be_run_is_a_job_that_could_not_be_started() {
    let Some(mut scene) = on_host("exit 0").await else { return };
    scene.home.set("HOST_USER", NOBODY);
    fs::set_permissions(scene.home.dir(), Permissions::from_mode(0o700)).unwrap();
    let job = scene.add_job().await;
    let coordinator = scene.home.start();

    let ended = scene.app.ended(job.job_id).await;
    let reason = ended.fail_reason.unwrap_or_default();
    assert_eq!(ended.status, "failed");
    assert!(reason.contains("could not be started"), "{reason}");
    assert!(reason.contains("AGENT_RUNNER_PATH"), "{reason}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_user_that_is_not_there_is_a_wrong_configuration() {
    let Some(mut scene) = on_host("exit 0").await else { return };
    scene.home.set("HOST_USER", "no-such-user-here");
    let (code, printed) = scene.home.run_once().await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("HOST_USER") && printed.contains("a user of this host"), "{printed}");
}
