//! What a container may do on the host: privileges, capabilities, and the filters of the kernel.

use bollard::models::{DeviceMapping, HostConfig};

/// What the container may do on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rights {
    /// All capabilities, and the devices: what an inner Docker daemon needs.
    Privileged,
    /// What an inner Docker daemon needs at least: mounts and networks of its own.
    MountsAndNetworks,
    /// What a Docker daemon in a user namespace needs: calls that make namespaces, and the device of
    /// its network.
    UserNamespaces,
    /// The engine's default set.
    #[default]
    Default,
    /// What a runner as root needs to run its worker as another user, and to end it.
    ChangeUser,
    /// Nothing.
    Nothing,
}

/// Capabilities of a runner that is root: it gives files to its worker, becomes its worker's user,
/// reads what its worker wrote and ends what its worker started.
const TO_CHANGE_USER: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];

/// The network device of user-mode networks.
const TUN: &str = "/dev/net/tun";

impl Rights {
    /// Puts them into what the engine is asked for.
    pub(super) fn apply(self, host: &mut HostConfig) {
        let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        match self {
            Self::Privileged => host.privileged = Some(true),
            // Beside the default ones: those are what an inner container is given.
            Self::MountsAndNetworks => {
                host.cap_add = list(&["SYS_ADMIN", "NET_ADMIN"]);
                host.security_opt = list(&["seccomp=unconfined", "apparmor=unconfined"]);
            }
            // No `no-new-privileges`: the programs that map users have capabilities of their own.
            Self::UserNamespaces => {
                host.cap_drop = list(&["ALL"]);
                host.cap_add = list(&TO_CHANGE_USER);
                host.security_opt = list(&["seccomp=unconfined", "apparmor=unconfined"]);
                // The engine hides parts of /proc by mounts, and a user namespace that sees such
                // mounts may not mount a /proc of its own.
                host.masked_paths = Some(Vec::new());
                host.readonly_paths = Some(Vec::new());
                host.devices = Some(vec![DeviceMapping {
                    path_on_host: Some(TUN.to_owned()),
                    path_in_container: Some(TUN.to_owned()),
                    cgroup_permissions: Some("rwm".to_owned()),
                }]);
            }
            Self::Default => {}
            Self::ChangeUser => {
                host.cap_drop = list(&["ALL"]);
                host.cap_add = list(&TO_CHANGE_USER);
                host.security_opt = list(&["no-new-privileges"]);
            }
            Self::Nothing => {
                host.cap_drop = list(&["ALL"]);
                host.security_opt = list(&["no-new-privileges"]);
            }
        }
    }
}
