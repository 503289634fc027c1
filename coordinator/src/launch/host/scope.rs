//! A systemd scope for one agent on this host and its keeper: the limits of a container, from the
//! service manager. What it asks for is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::process::Command;
use tokio::time::timeout;

use crate::config::{ContainerLimits, HostUser};
use crate::keeper::SLICE;

/// The service manager answers at once, or has other trouble.
const ANSWER: Duration = Duration::from_secs(10);

const PROGRAM: &str = "systemd-run";

/// Shows the control groups that a process is in, and those controllers of version 2 that its group
/// has, once the program, `$0`, was seen to start.
const SHOW: &str = "\"$0\" version >/dev/null && cat /proc/self/cgroup && { cat \
    \"/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/cgroup.controllers\" 2>/dev/null || :; }";

/// A service manager that gives scopes here, and the program that is started in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    manager: Manager,
    program: PathBuf,
    /// The controllers that it really has: a manager may have been given few of them.
    controllers: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Manager {
    /// That of the machine.
    System,
    /// That of our user, whose folder for sockets this is.
    User(PathBuf),
}

/// Why there is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoScope {
    #[error("HOST_SCOPE=off")]
    Off,
    #[error("no systemd runs here that we may ask")]
    NoManager,
    #[error("the program's file was replaced; restart the coordinator")]
    Replaced,
    #[error("systemd-run failed: {problem}")]
    Refused { problem: String },
}

impl Scope {
    /// Tries whether a scope with these limits can be had, with what an agent on this host gets of the
    /// environment.
    pub(crate) async fn of_this_host(
        limits: &ContainerLimits,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, NoScope> {
        let mut scope = Self::unproven()?;
        let refused = |problem: String| NoScope::Refused { problem };
        let unit = format!("terarchitect-try-{:08x}", fastrand::u32(..));
        match timeout(ANSWER, scope.probe(&unit, limits, environment).output()).await {
            Ok(Ok(Output { status, stdout, .. })) if status.success() => {
                scope.controllers = controllers(&String::from_utf8_lossy(&stdout), &unit);
                Ok(scope)
            }
            Ok(Ok(Output { stderr, .. })) => {
                Err(refused(String::from_utf8_lossy(&stderr).trim().to_owned()))
            }
            Ok(Err(error)) => Err(refused(error.to_string())),
            Err(_) => Err(refused(format!("no answer within {} s", ANSWER.as_secs()))),
        }
    }

    fn unproven() -> Result<Self, NoScope> {
        let user = geteuid();
        let manager = if user.is_root() {
            let runs = Path::new("/run/systemd/system").is_dir();
            runs.then_some(Manager::System)
        } else {
            let folder = Path::new("/run/user").join(user.to_string());
            folder.join("systemd/private").exists().then_some(Manager::User(folder))
        };
        let program = match fs::read_link("/proc/self/exe") {
            // The link names a file that was replaced by one that is not there.
            Ok(program) if program.exists() => program,
            // It can be opened all the same, by those who may look into this process.
            _ if user.is_root() => format!("/proc/{}/exe", std::process::id()).into(),
            _ => return Err(NoScope::Replaced),
        };
        let controllers = BTreeSet::new();
        Ok(Self { manager: manager.ok_or(NoScope::NoManager)?, program, controllers })
    }

    /// What shows the scope of this name from within. It has nothing of the coordinator's own environment,
    /// where secrets may be: unlike the coordinator, it hides its own from nobody of its user.
    fn probe(
        &self,
        unit: &str,
        limits: &ContainerLimits,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(words(&self.manager, unit, limits))
            .args(["--", "sh", "-c", SHOW])
            .arg(&self.program)
            .env_clear()
            .envs(environment)
            .envs(self.environment())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// This program in a scope of this name; its arguments are to be added.
    pub(super) fn command(&self, unit: &str, limits: &ContainerLimits) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words(&self.manager, unit, limits)).arg("--").arg(&self.program);
        command
    }

    /// What it must find in its environment. None of it is handed on to the agent.
    pub(super) fn environment(&self) -> Option<(&'static str, &Path)> {
        match &self.manager {
            Manager::System => None,
            Manager::User(folder) => Some(("XDG_RUNTIME_DIR", folder)),
        }
    }
}

/// The process that asks becomes the one that was asked for: its number stays.
fn words(manager: &Manager, unit: &str, limits: &ContainerLimits) -> Vec<String> {
    let mut words = vec![
        "--scope".to_owned(),
        "--quiet".to_owned(),
        "--collect".to_owned(),
        "--description=Agent of a Terarchitect job".to_owned(),
        format!("--slice={SLICE}"),
        format!("--unit={unit}"),
    ];
    if *manager != Manager::System {
        words.push("--user".to_owned());
    }
    words.extend(properties(limits).into_iter().map(|property| format!("--property={property}")));
    words
}

/// The limits as systemd calls them.
fn properties(limits: &ContainerLimits) -> Vec<String> {
    let mut properties = Vec::new();
    if let Some(memory) = limits.memory {
        properties.push(format!("MemoryMax={memory}"));
        properties.push(format!("MemorySwapMax={}", limits.swap));
    }
    if let Some(cpus) = limits.nano_cpus {
        // A hundredth of a processor is 10⁷ of its billionths.
        properties.push(format!("CPUQuota={}%", cpus.get().div_ceil(10_000_000)));
    }
    if let Some(pids) = limits.pids {
        properties.push(format!("TasksMax={pids}"));
    }
    properties
}

/// The controllers of a scope, from what [`SHOW`] prints: `number:controllers:path` for each hierarchy of
/// version 1, and a line of names for version 2.
fn controllers(shown: &str, unit: &str) -> BTreeSet<String> {
    let scope = format!("/{unit}.scope");
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (first, names, path) = (fields.next(), fields.next(), fields.next());
        let names = match (names, path) {
            (Some(names), Some(path)) if path.ends_with(&scope) => names,
            (None, _) => first.unwrap_or_default(),
            _ => "",
        };
        names.split([',', ' ']).map(str::to_owned).collect::<Vec<_>>()
    };
    shown.lines().flat_map(of_line).filter(|name| !name.is_empty()).collect()
}

/// The settings that do not bound an agent on this host: those that only a scope bounds, where it has
/// not the means, and disk space, which nothing bounds here.
pub(crate) fn not_bounded(
    limits: &ContainerLimits,
    scope: Option<&Scope>,
    user: Option<&HostUser>,
) -> Vec<&'static str> {
    let has = |name| scope.is_some_and(|scope| scope.controllers.contains(name));
    // The kernel counts the processes of a user, and where the agents have one, that bounds them.
    let pids = has("pids") || (scope.is_none() && user.is_some());
    let settings = [
        ("AGENT_MEMORY", limits.memory.is_some() && !has("memory")),
        ("AGENT_CPUS", limits.nano_cpus.is_some() && !has("cpu")),
        ("AGENT_PIDS", limits.pids.is_some() && !pids),
        ("AGENT_DISK", limits.disk.is_some()),
    ];
    settings.into_iter().filter_map(|(name, open)| open.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;
    use crate::executable::executable;

    fn limits() -> ContainerLimits {
        ContainerLimits {
            memory: NonZeroU64::new(4 << 30),
            swap: 0,
            nano_cpus: NonZeroU64::new(1_500_000_000),
            pids: NonZeroU32::new(4096),
            shm: NonZeroU64::MIN,
            disk: NonZeroU64::new(1),
            nofile: None,
        }
    }

    #[test]
    fn the_limits_of_a_container_are_those_of_the_scope() {
        let expected =
            ["MemoryMax=4294967296", "MemorySwapMax=0", "CPUQuota=150%", "TasksMax=4096"];
        assert_eq!(properties(&limits()), expected);
        let none = ContainerLimits { memory: None, nano_cpus: None, pids: None, ..limits() };
        assert!(properties(&none).is_empty());
    }

    fn scope(manager: Manager, controllers: &[&str]) -> Scope {
        let controllers = controllers.iter().map(|&name| name.to_owned()).collect();
        Scope { manager, program: "/x".into(), controllers }
    }

    #[test]
    fn what_nothing_bounds_is_named() {
        let all = scope(Manager::System, &["cpu", "memory", "pids"]);
        assert_eq!(not_bounded(&limits(), Some(&all), None), ["AGENT_DISK"]);
        let some = scope(Manager::System, &["memory", "pids"]);
        assert_eq!(not_bounded(&limits(), Some(&some), None), ["AGENT_CPUS", "AGENT_DISK"]);
        let without = not_bounded(&limits(), None, None);
        assert_eq!(without, ["AGENT_MEMORY", "AGENT_CPUS", "AGENT_PIDS", "AGENT_DISK"]);
    }

    #[test]
    fn the_controllers_of_a_scope_are_read_in_both_versions_of_control_groups() {
        let names = |shown| Vec::from_iter(controllers(shown, "job"));
        let second = "0::/terarchitect.slice/job.scope\ncpu memory pids\n";
        assert_eq!(names(second), ["cpu", "memory", "pids"]);
        let first =
            "8:pids:/a.slice/job.scope\n4:memory:/elsewhere\n1:cpu,cpuacct:/job.scope\n0::/\n";
        assert_eq!(names(first), ["cpu", "cpuacct", "pids"]);
    }

    #[test]
    fn the_manager_of_a_user_is_asked_for_by_name() {
        let scope = scope(Manager::User("/run/user/7".into()), &[]);
        let words = words(&scope.manager, "job", &limits());
        assert!(words.contains(&"--user".to_owned()) && words.contains(&"--unit=job".to_owned()));
        assert_eq!(scope.environment(), Some(("XDG_RUNTIME_DIR", Path::new("/run/user/7"))));
    }

    #[tokio::test]
    async fn the_probe_has_nothing_of_the_coordinators_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PROGRAM);
        executable(&path, "#!/bin/sh\nexport -p\n");
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let scope = scope(Manager::User("/run/user/7".into()), &[]);
        let environment = BTreeMap::from([("PATH".into(), folder.path().into())]);
        let shown = scope.probe("job", &limits(), &environment).output().await.unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("XDG_RUNTIME_DIR") && shown.contains("PATH="), "{shown}");
        assert!(!shown.contains("CARGO"), "{shown}");
    }
}
