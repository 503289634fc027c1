//! A shell in a running job's container, from a terminal: that of the program `script`.

use std::process::Stdio;

use api_client::JobId;
use integration_tests::harness::{DEADLINE, eventually, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::scene::Scene;

/// Runs a shell script at a terminal of 33 rows and 77 columns. `$attach` is the command with its job.
fn terminal(scene: &Scene, arguments: &str, script: &str) -> Child {
    let attach = format!("{} attach {arguments}", program("coordinator").display());
    let script = format!("stty rows 33 cols 77; {}", script.replace("$attach", &attach));
    let mut command = Command::new("script");
    command
        .args(["-qec", &script, "/dev/null"])
        .env("COORDINATOR_STATE_DIR", scene.home.state_dir())
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

/// The same, types something, and returns what the terminal showed.
async fn at_a_terminal(scene: &Scene, arguments: &str, script: &str, typed: &str) -> String {
    let mut terminal = terminal(scene, arguments, script);
    let mut keyboard = terminal.stdin.take().unwrap();
    let type_in = keyboard.write_all(typed.as_bytes());
    // What is not read any more need not be typed. The keyboard is held to the end: one that is gone would
    // end the shell.
    let (_typed, shown) = tokio::join!(type_in, terminal.wait_with_output());
    let shown = shown.unwrap();
    drop(keyboard);
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

/// Reads what a terminal shows, until this is part of it.
async fn shown_until(terminal: &mut Child, part: &str) -> String {
    let screen = terminal.stdout.as_mut().unwrap();
    let mut shown = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&shown).contains(part) {
            assert_ne!(screen.read_buf(&mut shown).await.unwrap(), 0, "the terminal is gone");
        }
    };
    let in_time = timeout(DEADLINE, read).await.is_ok();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(in_time, "no {part} in {shown}");
    shown
}

/// Waits until neither a shell nor its guard runs.
async fn no_shell_is_left(scene: &Scene, job: JobId) {
    eventually("the end of all shells", async || {
        (scene.engine.running_commands(job).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_shell_in_the_container_has_the_size_of_the_terminal_which_is_given_back_as_it_was() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let arguments = format!("--root {}", job.job_id);
    let typed = "echo in-$((40+2)) $(cat /proc/1/comm); stty size; env; exit\n";
    let shown = at_a_terminal(&scene, &arguments, "$attach; echo code $?; stty -a", typed).await;
    for part in ["in-42 stub", "33 77", "code 0", " icanon", " echo "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // The script of the stub is what the job document says, as its secrets are.
    assert!(!shown.contains("WORKER_MODEL") && !shown.contains("GITHUB_TOKEN"), "{shown}");

    // The shell's end is that of its last command, and no failure of ours.
    let shown =
        at_a_terminal(&scene, &arguments, "$attach; echo code $?", "no-such-command\nexit\n");
    assert!(shown.await.contains("code 0"));

    let ended = "timeout --foreground -s TERM 2 $attach; stty -a";
    let shown = at_a_terminal(&scene, &arguments, ended, "").await;
    assert!(shown.contains(" icanon") && shown.contains(" echo "), "{shown}");
    // A program that reads nothing, and more than all buffers on the way to it hold.
    let typed = format!("stty raw; sleep 1000\n{}", "x".repeat(16 << 20));
    let shown = at_a_terminal(&scene, &arguments, ended, &typed).await;
    assert!(shown.contains(" icanon") && shown.contains(" echo "), "{shown}");
    no_shell_is_left(&scene, job.job_id).await;
    scene.engine.release(job.job_id).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn a_shell_whose_operator_is_killed_ends_whatever_it_was_doing() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let job = scene.add_job().await;
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    for doing in [
        "echo up-$((40+2))",
        "sh -c 'echo up-$((40+2)); sleep 1000'",
        "stty raw; sh -c 'echo up-$((40+2)); cat'",
        "trap '' HUP; sh -c 'echo up-$((40+2)); exec sh'",
        "sh -c 'trap \"\" HUP INT QUIT TERM; echo up-$((40+2)); sleep 1000'",
    ] {
        let arguments = format!("--root {}", job.job_id);
        let mut terminal = terminal(&scene, &arguments, "echo pid $$ of; exec $attach");
        let shown = shown_until(&mut terminal, " of").await;
        let pid = shown.split_whitespace().nth(1).unwrap().parse().unwrap();
        let mut keyboard = terminal.stdin.take().unwrap();
        keyboard.write_all(format!("{doing}\n").as_bytes()).await.unwrap();
        shown_until(&mut terminal, "up-42").await;
        assert_ne!(scene.engine.running_commands(job.job_id).await, 0, "a shell runs");
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        no_shell_is_left(&scene, job.job_id).await;
    }
    scene.engine.release(job.job_id).await;
    coordinator.terminate().await;
}

#[tokio::test]
async fn where_no_shell_can_be_had_it_is_said_how_else() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    let job = scene.add_job().await;
    let id = job.job_id.to_string();
    let coordinator = scene.home.start();
    scene.engine.pausing(job.job_id).await;
    let (code, said) = scene.home.command(&["attach", &id]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("docker exec -it --user agent "), "{said}");
    // The stub's image has no such user.
    let shown = at_a_terminal(&scene, &id, "$attach; echo code $?", "").await;
    assert!(shown.contains("code 1") && shown.contains("--root"), "{shown}");
    scene.engine.release(job.job_id).await;
    scene.app.ended(job.job_id).await;
    let (code, said) = scene.home.command(&["attach", &id]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has ended"), "{said}");
    coordinator.terminate().await;
}

#[tokio::test]
async fn of_a_run_on_the_host_its_process_and_its_folder_are_told() {
    let Some(mut scene) = Scene::or_skip("pause").await else { return };
    scene.home.set("DOCKER_NETWORK", "bridge");
    scene.home.set("HOST_FALLBACK", "always");
    let job = scene.add_job().await;
    let mut coordinator = scene.home.start();
    coordinator.wait_for_log("agent started on the host").await;
    let (code, said) = scene.home.command(&["attach", &job.job_id.to_string()]).await;
    assert_eq!(code, Some(0), "{said}");
    let folder = scene.home.state_dir().join("host").join(job.job_id.to_string());
    assert!(
        said.contains("keeper     pid ") && said.contains(&folder.display().to_string()),
        "{said}"
    );
    coordinator.terminate().await;
}
