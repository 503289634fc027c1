//! The scriptlets of an installation, on a machine on which a unit of our name runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::root;

/// What the scriptlets call, each of which notes how it was called.
const PROGRAMS: [&str; 5] = ["systemctl", "deb-systemd-invoke", "systemd-sysusers", "getent", "id"];

/// Folders of the machine, of which the scriptlets get others.
const FOLDERS: [&str; 2] = ["/run/", "/var/lib/"];

/// Runs a scriptlet; what it had the service manager do.
fn calls(script: &str, arguments: &[&str]) -> String {
    let machine = TempDir::new().unwrap();
    let calls = machine.path().join("calls");
    for program in PROGRAMS {
        stand_in(&machine.path().join(program), &calls);
    }
    fs::create_dir_all(machine.path().join("run/systemd/system")).unwrap();
    let text = fs::read_to_string(root().join("packaging").join(script)).unwrap();
    let here = |text: String, folder: &str| {
        text.replace(folder, &format!("{}{folder}", machine.path().display()))
    };
    let text = FOLDERS.into_iter().fold(text, here);
    let path = format!("{}:/usr/bin:/bin", machine.path().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &text, "scriptlet"]).args(arguments).env_clear().env("PATH", path);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(calls).unwrap()
}

/// A program that notes its call, and as `systemctl list-units` says that our unit runs.
fn stand_in(path: &Path, calls: &Path) {
    let script = format!(
        "#!/bin/sh\necho \"${{0##*/}} $*\" >>{}\n\
         [ \"$1\" != list-units ] || echo 'terarchitect-coordinator.service loaded active running'\n",
        calls.display()
    );
    fs::write(path, script).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn disturbs(calls: &str) -> bool {
    ["kill", "restart", "stop"].iter().any(|word| calls.contains(word))
}

#[test]
fn a_first_installation_leaves_a_unit_of_the_same_name_alone() {
    // The original coordinator's is called as ours: its jobs would be lost.
    for (script, first) in [("deb/postinst", &["configure", ""][..]), ("rpm/post", &["1"])] {
        let calls = calls(script, first);
        assert!(calls.contains("systemctl daemon-reload"), "{script}: {calls}");
        assert!(!disturbs(&calls), "{script}: {calls}");
    }
}

#[test]
fn an_upgrade_starts_what_runs_anew_and_says_that_agents_go_on() {
    let deb = calls("deb/postinst", &["configure", "0.0.9-1"]);
    let told = deb.find("--signal=SIGUSR1 terarchitect-coordinator.service").unwrap();
    let restarted = deb.find("restart terarchitect-coordinator.service").unwrap();
    assert!(told < restarted, "{deb}");
    let rpm = calls("rpm/postun", &["1"]);
    let (told, restarted) = (rpm.find("SIGUSR1").unwrap(), rpm.find("try-restart").unwrap());
    assert!(told < restarted, "{rpm}");
}

#[test]
fn the_last_rpm_to_go_starts_nothing() {
    assert!(!disturbs(&calls("rpm/postun", &["0"])));
}
