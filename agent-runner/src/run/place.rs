//! What a run needs of the machine that it is on.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use nix::unistd::Pid;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::checkout::{Checkout, CheckoutError};
use crate::git::Git;
use crate::inner_docker::given_socket;
use crate::outcome::RunError;
use crate::refresh::RefreshServer;
use crate::settings::{DockerMode, Layers, Settings};
use crate::token::TokenSink;
use crate::user::WorkerUser;
use crate::user::ownership::{Owner, give_tree};

/// The worker's user, with the right to use a Docker socket that we were given. A worktree of a
/// repository of somebody else has its objects there, which that user could not write.
pub(super) fn worker_user(
    layers: &Layers,
    docker: DockerMode,
    docker_host: Option<&str>,
    settings: &Settings,
) -> Option<WorkerUser> {
    if layers.on_host() {
        WorkerUser::warn_of_root("HOST_USER is not set");
        return None;
    }
    let user = WorkerUser::of_image()?;
    if settings.workspace.is_some() {
        WorkerUser::warn_of_root(
            "AGENT_WORKSPACE is another's, whose objects only root could write",
        );
        return None;
    }
    let socket = given_socket(docker_host).filter(|_| docker == DockerMode::Dood);
    Some(match socket {
        Some(socket) => user.with_socket(&socket),
        None => user,
    })
}

/// Gives the work tree another owner.
pub(super) async fn give_tree_to(checkout: &Checkout, owner: Owner) -> Result<(), RunError> {
    let tree = checkout.path().to_owned();
    let given = spawn_blocking(move || give_tree(&tree, owner)).await;
    given.map_err(io::Error::from).flatten().map_err(|source| RunError::Folder {
        attempted: "hand the work tree over between agent-runner and the worker's user",
        source,
    })
}

/// Takes new tokens there. Most jobs end before their token does, so that this is no reason to fail.
pub(super) fn listen(socket: PathBuf, sink: TokenSink, outer: Pid) -> Option<RefreshServer> {
    // One that is no absolute path is meant within the folder for temporary files.
    let socket = std::env::temp_dir().join(socket);
    let shown = socket.display().to_string();
    match RefreshServer::start(socket, sink, outer) {
        Ok(server) => Some(server),
        Err(error) => {
            tracing::warn!(%error, "the forge's token cannot be renewed at {shown}");
            None
        }
    }
}

/// Git for as long as this token is not cancelled.
pub(super) fn git(plain: &[(String, String)], cancel: CancellationToken) -> Result<Git, RunError> {
    let environment =
        plain.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let helper = std::env::current_exe()
        .map_err(|source| RunError::Folder { attempted: "find this program's own file", source })?;
    Git::new(environment, helper, cancel)
        .map_err(|error| RunError::Checkout(CheckoutError::Git(error)))
}
