//! Secrets that are planted, one in each place and each in another form: a hunt that does not find
//! them all would not find a real one either.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::engine;
use super::held::Held;
use super::hit::{Hit, Place};
use super::repository::git_dirs;
use super::scene::Scene;
use super::secret::Secret;
use crate::harness::{Deployment, Job, STUB_IMAGE};

/// How long the planted processes live, unless they are ended before.
const LIFE_SECONDS: &str = "120";

/// The planted secrets.
#[derive(Debug)]
pub(super) struct Plant {
    scene: Scene,
    planted: Vec<(Place, Secret)>,
}

/// What has to be taken away again.
#[derive(Debug)]
pub(super) struct Planted {
    processes: Vec<Child>,
    containers: Vec<String>,
    volumes: Vec<String>,
}

impl Plant {
    pub(super) fn random(scene: Scene) -> Self {
        let planted =
            |place: Place| (place, Secret::random(format!("planted-{}", place.name()), ""));
        Self { scene, planted: scene.places().map(planted).collect() }
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.planted.iter().map(|(_, secret)| secret)
    }

    /// The places in which the secret that was planted there was not found.
    pub(super) fn missed(&self, hits: &BTreeSet<Hit>) -> Vec<Place> {
        let found = |place: Place, name: &str| {
            hits.iter().any(|hit| hit.place == place && hit.secret == name)
        };
        let missed = self.planted.iter().filter(|(place, secret)| !found(*place, &secret.name));
        missed.map(|(place, _)| *place).collect()
    }

    /// Puts each in its place.
    pub(super) async fn put(&self, deployment: &Deployment, job: &Job, held: &Held) -> Planted {
        let mut planted =
            Planted { processes: Vec::new(), containers: Vec::new(), volumes: Vec::new() };
        for (place, secret) in &self.planted {
            let value = secret.value.as_str();
            match place {
                Place::Environment => planted.processes.push(sleeper(|sleep| {
                    sleep.env("PLANTED", value);
                })),
                Place::Arguments => planted.processes.push(sleeper(|sleep| {
                    sleep.args(["-c", "sleep \"$0\"", LIFE_SECONDS, &STANDARD.encode(value)]);
                })),
                Place::Inspect => {
                    let variable = format!("PLANTED={}", hex(value));
                    planted.containers.push(container(&["--env", &variable]));
                }
                Place::Labels => {
                    let label = format!("planted={}", value.chars().rev().collect::<String>());
                    planted.containers.push(container(&["--label", &label]));
                }
                Place::Commit => write(&held.root().join("opt/planted"), value),
                Place::Disk => planted.volumes.push(volume(&wide(value))),
                Place::Ledger => write(&deployment.home.state_dir().join("planted"), value),
                Place::Journal => append(&deployment.home.dir().join("coordinator.1.log"), value),
                Place::JobLog => append(&deployment.home.job_log_path(job.job_id), &percent(value)),
                Place::TicketLog => deployment.app.tell(job, &percent(value)).await,
                Place::PullRequest => {
                    add_object(&deployment.forge.repo_path(&deployment.repo), value);
                }
                Place::Clone => add_object(&clone_of(&held.job_folder(self.scene)), value),
            }
        }
        planted
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _gone = process.kill();
            let _status = process.wait();
        }
        for container in &self.containers {
            let _gone = engine::call("DELETE", &format!("/containers/{container}?force=1&v=1"));
        }
        for volume in &self.volumes {
            let _gone = engine::call("DELETE", &format!("/volumes/{volume}?force=1"));
        }
    }
}

/// A process that does nothing for a while.
fn sleeper(dress: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    dress(&mut command);
    if command.get_args().len() == 0 {
        command.args(["-c", "sleep \"$0\"", LIFE_SECONDS]);
    }
    command.spawn().expect("a shell")
}

/// A container that was never started.
fn container(options: &[&str]) -> String {
    docker(&[&["create"][..], options, &[STUB_IMAGE]].concat())
}

/// A volume with a file in it.
fn volume(content: &[u8]) -> String {
    let name = docker(&["volume", "create"]);
    let path = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &name]);
    write(&Path::new(&path).join("planted"), content);
    name
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker's client");
    assert!(output.status.success(), "docker {}: {output:?}", arguments[0]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Adds an object to a git directory, as git keeps it: compressed.
fn add_object(directory: &Path, content: &str) {
    let mut git = Command::new("git")
        .args(["-c", "safe.directory=*", "--git-dir"])
        .arg(directory)
        .args(["hash-object", "-w", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("git");
    let written = git.stdin.take().expect("a pipe").write_all(content.as_bytes());
    written.expect("git reads it");
    assert!(git.wait().expect("a child of ours").success(), "git took no object");
}

/// The git directory of the job, as the host sees it.
fn clone_of(folder: &Path) -> PathBuf {
    let found = git_dirs(folder);
    found.into_iter().find(|dir| dir.ends_with(".git")).expect("the job has a clone")
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn append(path: &Path, content: &str) {
    let file = OpenOptions::new().append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{content}"));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn hex(value: &str) -> String {
    value.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn percent(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn wide(value: &str) -> Vec<u8> {
    value.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
