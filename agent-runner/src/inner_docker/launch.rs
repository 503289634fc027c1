//! How an engine is run: as root, or rootless as the worker's user in a user namespace.

use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::addresses::Addresses;
use super::names::NameServer;
use super::{InnerDockerError, control_groups};
use crate::user::WorkerUser;
use crate::user::ownership::{folder_within, give_tree, open_folder};

/// The engine, with its own pid in `LISTEN_PID` as the protocol of socket activation wants it.
const ROOTFUL: &str = "LISTEN_PID=$$ exec dockerd --host=fd:// \"$@\"";

/// What the shell is called that becomes the engine.
const NAME: &str = "dockerd";

/// The descriptor at which that protocol expects the first socket.
const ACTIVATED_FD: i32 = 3;

/// In the user namespace; what stands in /run of the container is only linked there. The socket is
/// moved to where it is expected: at 3, rootlesskit has a pipe of its own.
const ROOTLESS: &str = "rm -f /run/docker /run/containerd /run/xtables.lock; exec 3<&9 9<&-; \
    LISTEN_PID=$$ exec dockerd --host=fd:// \"$@\"";
const ROOTLESS_FD: i32 = 9;

/// A network in user space, and copies of the folders that an engine writes to. The first switch keeps
/// containers from the loopback interface of ours, where the model's gateway listens.
const ROOTLESSKIT: [&str; 9] = [
    "--disable-host-loopback",
    "--net=slirp4netns",
    "--mtu=65520",
    "--slirp4netns-sandbox=auto",
    "--slirp4netns-seccomp=auto",
    "--port-driver=builtin",
    "--copy-up=/etc",
    "--copy-up=/run",
    "--propagation=rslave",
];

/// The device of that network.
const TUN: &str = "/dev/net/tun";

/// The folder of a rootless engine's data, in the home of its user.
const DATA: &str = ".local";

/// Where the programs of an engine are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An engine that can be started.
pub(super) struct Launch {
    /// What is run.
    pub(super) command: Command,
    /// The descriptor by which it gets its socket.
    pub(super) listen_fd: i32,
    /// What is done just before.
    pub(super) prepare: fn(),
    /// Who answers its containers' questions for names, where we do.
    pub(super) names: Option<NameServer>,
}

impl Launch {
    /// An engine that is root in this container.
    pub(super) fn rootful(environment: &[(String, String)]) -> Self {
        let Addresses { arguments, names } = Addresses::choose();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ROOTFUL, NAME]).args(arguments);
        command.env_clear().env("LISTEN_FDS", "1");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self { command, listen_fd: ACTIVATED_FD, prepare: control_groups::prepare, names }
    }

    /// An engine that is the worker's user outside of its namespace. Everything that it is given is
    /// given now, before there is a worker that could put a link in its place.
    pub(super) fn rootless(
        user: &WorkerUser,
        private: &Path,
        environment: &[(String, String)],
    ) -> Result<Self, InnerDockerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| InnerDockerError::Rootless { path, source }
        };
        let tun = Path::new(TUN);
        chown(tun, Some(user.owner().uid.as_raw()), None).map_err(failed(tun))?;
        let data = data_folder(user).map_err(failed(user.home()))?;
        user.let_into(private).map_err(failed(private))?;
        let runtime = private.join("docker");
        std::fs::create_dir_all(&runtime).map_err(failed(&runtime))?;
        give_tree(&runtime, user.owner()).map_err(failed(&runtime))?;
        let rootlesskit = Path::new("/usr/bin/rootlesskit");
        let mut command = user.service_command(rootlesskit).map_err(failed(rootlesskit))?;
        command.args(ROOTLESSKIT).args(["/bin/sh", "-c", ROOTLESS, NAME]);
        // Its network has a name server of its own, which its containers reach.
        command.args(Addresses::in_user_space().arguments).env_clear();
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
            .env("PATH", PATH)
            .env("LISTEN_FDS", "1")
            .env("HOME", user.home())
            .env("TMPDIR", &runtime)
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("XDG_CONFIG_HOME", data.join("config"))
            .env("XDG_DATA_HOME", data.join("share"))
            .current_dir("/");
        Ok(Self { command, listen_fd: ROOTLESS_FD, prepare: || {}, names: None })
    }
}

/// The folder for the engine's data, where a volume should be. Only it is given: what is in it may be
/// an earlier engine's, and belongs to users of its namespace.
fn data_folder(user: &WorkerUser) -> io::Result<PathBuf> {
    let owner = user.owner();
    let folder = folder_within(open_folder(user.home())?, DATA)?;
    nix::unistd::fchown(folder, Some(owner.uid), Some(owner.gid))?;
    Ok(data_folder_of(user))
}

/// Its path.
pub(super) fn data_folder_of(user: &WorkerUser) -> PathBuf {
    user.home().join(DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootful_engine_gets_its_environment_and_nothing_of_ours() {
        let given = [("HTTPS_PROXY".to_owned(), "http://p:1".to_owned())];
        let launch = Launch::rootful(&given);
        let names: Vec<_> = launch.command.as_std().get_envs().map(|(name, _)| name).collect();
        assert_eq!(names, ["HTTPS_PROXY", "LISTEN_FDS"]);
    }
}
