//! Watching an agent on the host through its keeper's notes. The keeper may have been started by an
//! earlier coordinator; no one waits for it as a parent does.

use std::fs;
use std::time::Duration;

use api_client::JobId;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::AgentEnd;
use crate::activity::Activity;
use crate::context::Context;
use crate::job::Keeper;
use crate::keeper::{HostNote, kill_scope, read_end, read_runner};

/// Between two looks at the notes.
const LOOK: Duration = Duration::from_millis(100);

/// Follows the agent of a job until it ends.
pub(super) async fn end_of(
    ctx: &Context,
    job: JobId,
    keeper: &Keeper,
    activity: &Activity,
) -> AgentEnd {
    let log = ctx.log_path(job);
    let mut size = 0;
    loop {
        // In this order: a keeper that is gone has written its note, or never will.
        let keeps = keeper.process.as_ref().is_some_and(|process| process.runs());
        match read_end(&keeper.dir) {
            Some(HostNote::Ended { code, out_of_memory }) => {
                return AgentEnd::Exited(HostNote::facts(code, out_of_memory));
            }
            Some(HostNote::NeverBegan { problem }) => return AgentEnd::NeverBegan(problem),
            None if keeps => {}
            None => {
                kill_agent(keeper);
                kill_scope(&keeper.dir);
                return AgentEnd::KeeperGone;
            }
        }
        let now = fs::metadata(&log).map_or(0, |log| log.len());
        if now != size {
            size = now;
            activity.touch();
        }
        sleep(LOOK).await;
    }
}

/// Passes a signal on. The keeper handles a request to end by itself; a kill goes to the agent, whose
/// end the keeper then writes down.
pub(super) fn signal(keeper: &Keeper, signal: Signal) {
    match signal {
        Signal::SIGKILL => kill_agent(keeper),
        other => {
            if let Some(process) = &keeper.process {
                process.signal(other);
            }
        }
    }
}

fn kill_agent(keeper: &Keeper) {
    if let Some(runner) = read_runner(&keeper.dir) {
        runner.signal_group(Signal::SIGKILL);
    }
}
