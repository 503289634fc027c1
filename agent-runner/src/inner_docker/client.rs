//! What only the engine itself can do, by its own client.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Ends all containers. An engine that is told to end waits ten seconds for one that does not listen.
pub(super) const END_CONTAINERS: &str = "docker ps --quiet | xargs -r docker kill -- >/dev/null";

/// Removes everything but images: containers and volumes have parts elsewhere in the engine's folder.
pub(super) const REMOVE_ALL_BUT_IMAGES: &str = "set -e; \
    docker swarm leave --force >/dev/null 2>&1 || true; \
    docker ps --all --quiet | xargs -r docker rm --force --volumes -- >/dev/null; \
    docker volume ls --quiet | xargs -r docker volume rm --force -- >/dev/null; \
    docker network prune --force >/dev/null; \
    docker plugin ls --quiet | xargs -r docker plugin rm --force -- >/dev/null";

/// How long a script may take. The agent itself has not much longer when it is told to end.
const LIMIT: Duration = Duration::from_secs(8);

/// Where programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs one of the scripts, against the engine at its usual address.
///
/// # Errors
/// What it said when it failed, in words.
pub(super) async fn run(script: &str) -> Result<(), String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env_clear().env("PATH", PATH).env("HOME", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it took longer than {} s", LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_failed_is_told_in_its_own_words() {
        assert_eq!(run("exit 0").await, Ok(()));
        assert_eq!(run("echo 'cannot remove' >&2; exit 1").await, Err("cannot remove".to_owned()));
    }
}
