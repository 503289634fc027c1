//! What there is on this host: on its engine, and of what an engine makes in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
};

use crate::harness::{Engine, eventually};

/// How long things may take to go. Shorter than that of the harness, which cannot tell what was left.
const PATIENCE: Duration = Duration::from_secs(80);

/// A kind of thing that may be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Container,
    Image,
    Volume,
    Network,
    Interface,
    Mount,
    ControlGroup,
    Process,
}

/// What is looked for among the things that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything: nothing else may use this host meanwhile.
    WholeHost,
    /// What carries an id of the jobs' containers, networks or volumes, or a name of theirs.
    Jobs,
}

/// Things, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostState(BTreeMap<Kind, BTreeSet<String>>);

impl HostState {
    /// Everything that is there now. Of images only those that carry a name.
    pub(super) async fn now(engine: &Engine) -> Self {
        let mut state = Self::default();
        state.add_engine(engine).await;
        state.add(Kind::Interface, names(Path::new("/sys/class/net")));
        state.add(Kind::Mount, mounts());
        state.add(Kind::ControlGroup, control_groups());
        state.add(Kind::Process, processes());
        state
    }

    /// What is here and not in the other.
    pub(super) fn beyond(&self, other: &Self) -> Self {
        self.each(|kind, thing| !other.has(kind, thing))
    }

    /// How many of a kind.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.0.get(&kind).map_or(0, BTreeSet::len)
    }

    /// Those whose description has one of these in it.
    pub(super) fn marked(&self, marks: &[String]) -> Self {
        self.each(|_, thing| marks.iter().any(|mark| thing.contains(mark)))
    }

    /// Waits until everything is gone again that is here and was not before, and is in the scope.
    ///
    /// Other work on this host comes and goes meanwhile: left is only what is there each time.
    pub(super) async fn gone_since(engine: &Engine, before: &Self, scope: Scope, marks: &[String]) {
        let begun = Instant::now();
        let mut left: Option<Self> = None;
        let look = async || {
            let added = Self::now(engine).await.beyond(before);
            let still = match &left {
                Some(left) => left.each(|kind, thing| added.has(kind, thing)),
                None if scope == Scope::Jobs => added.marked(marks),
                None => added,
            };
            let gone = still.0.values().all(BTreeSet::is_empty);
            assert!(gone || begun.elapsed() < PATIENCE, "left on this host: {still}");
            left = Some(still);
            gone.then_some(())
        };
        eventually("nothing to be left", look).await;
    }

    fn has(&self, kind: Kind, thing: &str) -> bool {
        self.0.get(&kind).is_some_and(|things| things.contains(thing))
    }

    fn each(&self, mut chosen: impl FnMut(Kind, &str) -> bool) -> Self {
        let mut state = self.clone();
        for (kind, things) in &mut state.0 {
            things.retain(|thing| chosen(*kind, thing));
        }
        state
    }

    fn add(&mut self, kind: Kind, things: impl IntoIterator<Item = String>) {
        self.0.entry(kind).or_default().extend(things);
    }

    async fn add_engine(&mut self, engine: &Engine) {
        let docker = engine.docker();
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let containers = docker.list_containers(Some(all)).await.expect("containers");
        self.add(
            Kind::Container,
            containers
                .into_iter()
                .filter_map(|one| Some(format!("{} {}", one.names?.join(","), one.id?))),
        );
        let images = docker.list_images(None::<ListImagesOptions>).await.expect("images");
        self.add(Kind::Image, images.into_iter().flat_map(|one| one.repo_tags));
        let volumes = docker.list_volumes(None::<ListVolumesOptions>).await.expect("volumes");
        let volumes = volumes.volumes.unwrap_or_default();
        self.add(Kind::Volume, volumes.into_iter().map(|one| one.name));
        let networks = docker.list_networks(None::<ListNetworksOptions>).await.expect("networks");
        self.add(
            Kind::Network,
            networks.into_iter().filter_map(|one| Some(format!("{} {}", one.name?, one.id?))),
        );
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = self.0.iter().filter(|(_, things)| !things.is_empty());
        for (index, (kind, things)) in some.enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(
                f,
                "{comma}{kind:?}: {}",
                Vec::from_iter(things.iter().map(String::as_str)).join(", ")
            )?;
        }
        Ok(())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("a table of mounts");
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

/// All folders of all hierarchies.
fn control_groups() -> Vec<String> {
    let (mut groups, mut folders) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(folder) = folders.pop() {
        // One that is removed just now has no entries any more.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                groups.push(entry.path().display().to_string());
                folders.push(entry.path());
            }
        }
    }
    groups
}

/// Programs of an engine and of ours, by the beginnings of their names.
const PROGRAMS: [&str; 7] =
    ["agent-runner", "containerd", "coordinator", "docker", "rootlesskit", "runc", "slirp4netns"];

/// Every process of a container, and what runs on this host for one: name, number and start, and the
/// containers that its arguments and its control groups name.
fn processes() -> Vec<String> {
    let ours = pid_namespace("self");
    let pids = names(Path::new("/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok());
    let processes = pids.filter_map(|pid| {
        let process = process(&pid)?;
        let counts = PROGRAMS.iter().any(|program| process.starts_with(program))
            || pid_namespace(&pid) != ours;
        counts.then_some(process)
    });
    processes.collect()
}

fn pid_namespace(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn process(pid: &str) -> Option<String> {
    let text = |file| fs::read(format!("/proc/{pid}/{file}")).ok();
    let text = |file| Some(String::from_utf8_lossy(&text(file)?).into_owned());
    let stat = text("stat")?;
    let (name, fields) = stat.rsplit_once(')')?;
    let (_, name) = name.split_once('(')?;
    let start = fields.split_whitespace().nth(19)?;
    let named = text("cmdline")? + &text("cgroup")?;
    let words = named.split(|c: char| !c.is_ascii_hexdigit());
    let containers = words.filter(|word| word.len() == 64).collect::<BTreeSet<_>>();
    Some(format!("{name} {pid}@{start} {}", Vec::from_iter(containers).join(" ")))
}
