//! Agents on this host, and the keepers that outlive the coordinator that started them.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::coordinator::Home;
use super::stub::release;

impl Home {
    /// The number of the only keeper there is, once it has written it down.
    pub fn keeper(&self) -> Option<u32> {
        let note: Value = serde_json::from_slice(&self.note("keeper.json")?).ok()?;
        note["pid"].as_u64()?.try_into().ok()
    }

    /// Whether a keeper has written down how its agent ended.
    pub fn kept_an_end(&self) -> bool {
        self.note("end.json").is_some()
    }

    /// Kills the agents that a failed test has left; their keepers end with them.
    pub(super) fn end_host_runs(&self) {
        let own = self.dir().to_string_lossy().into_owned();
        for agent in self.host_runs() {
            // Its number may be another's by now.
            let line = fs::read(format!("/proc/{agent}/cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&own) {
                let _gone = kill(Pid::from_raw(agent.cast_signed()), Signal::SIGKILL);
            }
        }
    }

    fn note(&self, name: &str) -> Option<Vec<u8>> {
        let named = |path: &Path| path.file_name().is_some_and(|file| file == name);
        self.files().into_iter().find(|(path, _)| named(path)).map(|(_, content)| content)
    }
}

/// Whether a process runs; one that ended and was not waited for does not.
pub fn process_runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may hold anything, a parenthesis as well.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Sends a signal to a process of this host that runs.
pub fn signal_process(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("it runs");
}

/// Ends the `pause` of an agent on this host.
pub fn release_process(pid: u32) {
    signal_process(pid, release());
}
