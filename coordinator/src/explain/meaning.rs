//! The one table from how a job ended to what that means in plain words and what to do next. Pure; the
//! compiler sees to it that no ending is missing.

use api_client::contract::AgentExit;

use crate::history::{EndedJob, JobResult};
use crate::outcome::CauseKind;

/// How a job ended, as far as it decides what is said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The agent delivered.
    Delivered,
    /// The job became another's.
    Superseded,
    /// The agent ended by itself, with this exit code of its own.
    Agent(AgentExit),
    /// Anything else.
    Cause(CauseKind),
    /// A word that a later version wrote.
    Unknown,
}

/// What is said about an ending. `JOB` stands for the job's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) means: &'static str,
    pub(super) next: &'static [&'static str],
}

const RETRY: &str = "Then start it again: coordinator retry JOB";
const RETRY_NOW: &str = "Start it again: coordinator retry JOB";

impl Ending {
    /// That of a job of which this is kept.
    pub(super) fn of(ended: &EndedJob) -> Self {
        match ended.result {
            JobResult::Completed => Self::Delivered,
            JobResult::Superseded => Self::Superseded,
            JobResult::Parked => Self::Agent(AgentExit::Parked),
            JobResult::Failed => match ended.cause.as_deref().and_then(CauseKind::from_name) {
                Some(CauseKind::Agent) => {
                    exit_of(ended).map_or(Self::Cause(CauseKind::Agent), Self::Agent)
                }
                Some(kind) => Self::Cause(kind),
                None => Self::Unknown,
            },
        }
    }

    /// What it means, and what to do.
    pub(super) const fn meaning(self) -> Meaning {
        match self {
            Self::Delivered => of_exit(AgentExit::Delivered),
            Self::Superseded => Meaning {
                means: "While this coordinator could not renew its lease, the app gave the job to another \
                    one. Nothing was published from here any more, and nothing was reported.",
                next: &[
                    "Look at the other coordinator: the job is its own now.",
                    "If it happens often: is the app slow, or this host's network cut off at times?",
                ],
            },
            Self::Agent(exit) => of_exit(exit),
            Self::Cause(kind) => of_cause(kind),
            Self::Unknown => Meaning {
                means: "A later version of the coordinator wrote down a cause that this one does not know.",
                next: &["Ask that version: coordinator explain JOB"],
            },
        }
    }
}

/// Files of earlier versions have the exit in the agent's own document alone.
fn exit_of(ended: &EndedJob) -> Option<AgentExit> {
    let told = ended.exit_code.and_then(AgentExit::from_code);
    told.or_else(|| ended.believed().map(|document| document.cause))
}

const fn of_exit(exit: AgentExit) -> Meaning {
    let (means, next) = of_exit_words(exit);
    Meaning { means, next }
}

const fn of_exit_words(exit: AgentExit) -> (&'static str, &'static [&'static str]) {
    match exit {
        AgentExit::Delivered => (
            "The work is pushed and read back from the forge, the pull request is open, and the app knows.",
            &["Review the pull request."],
        ),
        AgentExit::Misconfigured => (
            "The agent stopped before it did anything: a setting is missing or wrong. The last lines name \
             it and where it came from.",
            &[
                "Mend the setting that the last lines name: in the app where they say so, else in this \
                 host's settings (coordinator config).",
                RETRY,
            ],
        ),
        AgentExit::CloneFailed => (
            "The repository could not be fetched, so no work was done: wrong URL, no rights, no network, \
             or an empty repository.",
            &[
                "Look at the last lines: refused access is the forge's token, could not be reached is \
                 the network or a proxy.",
                RETRY,
            ],
        ),
        AgentExit::WorkerFailed => (
            "The coding CLI ended without doing its work: most often the model's endpoint, its key, its \
             name or its quota.",
            &["Look at how the last turn ended, and mend the model's settings it names.", RETRY],
        ),
        AgentExit::DirectorFailed => (
            "The model that directs the worker could not be reached or understood.",
            &["Check the Director's address, model and key.", RETRY],
        ),
        AgentExit::BudgetExhausted => (
            "The job reached a limit of its own: turns, time, tokens or money. What there was is saved.",
            &["Raise the limit that the last lines name, or split the ticket.", RETRY],
        ),
        AgentExit::Cancelled => of_cause_words(CauseKind::Cancelled),
        AgentExit::PublishFailed => (
            "The work was done, and could not be pushed, or no pull request could be opened.",
            &[
                "Look at the last lines: the token's rights, a protected branch, or commits that came \
                 meanwhile.",
                RETRY,
            ],
        ),
        AgentExit::NoChanges => (
            "The worker ended well and changed nothing: the ticket may be done already, or unclear.",
            &["Read the worker's last words, and make the ticket clearer or close it.", RETRY],
        ),
        AgentExit::AppUnreachable => (
            "The agent could not get the ticket from the app, or could not tell it the end.",
            &[
                "Prove that containers reach the app under the URL they get: coordinator check",
                "If the work is pushed already, the app only does not know: the next run finds it.",
                RETRY,
            ],
        ),
        AgentExit::NotSupported => (
            "This version cannot do this kind of job.",
            &["Use a version that can, or take the job out of the app's queue."],
        ),
        AgentExit::Superseded => (
            "The job was held by someone else by the time the agent wanted to publish: nothing was.",
            &["Look at the run that holds it now."],
        ),
        AgentExit::OutOfMemory => of_cause_words(CauseKind::OutOfMemory),
        AgentExit::ProcessLimit => of_cause_words(CauseKind::PidsLimit),
        AgentExit::ChecksFailed => (
            "There is work, and the check command of the repository's .terarchitect.toml fails on it. A \
             draft pull request shows it.",
            &[
                "Look at the check's output. Mend the work there, or run the ticket again: it continues.",
                "If the check fails without the work as well: mend it, or what it needs, in the setup \
                 command.",
                RETRY,
            ],
        ),
        AgentExit::Blocked => (
            "The worker declined or asked a question, or its changes may not be published: a secret, a \
             forbidden path, or too large a file.",
            &[
                "A question: answer it in the ticket's description.",
                "A finding: it names file and line; remove it where it comes from.",
                RETRY,
            ],
        ),
        AgentExit::Parked => (
            "A provider's limit was used up, and it named the time at which it lets us in again. What there \
             was is saved. Where the app knows of pauses, the job goes on by itself then; else it failed.",
            &[
                "Nothing, where the app shows the job as pending: it is handed out when it is due.",
                "If it happens often: a larger plan at the provider, fewer jobs at once, or a fallback \
                 (WORKER_FALLBACK_URL, AGENT_FALLBACK_MODEL).",
                "Sooner than that: coordinator retry JOB",
            ],
        ),
    }
}

const fn of_cause(kind: CauseKind) -> Meaning {
    let (means, next) = of_cause_words(kind);
    Meaning { means, next }
}

const fn of_cause_words(kind: CauseKind) -> (&'static str, &'static [&'static str]) {
    match kind {
        CauseKind::Agent => (
            "The agent ended with an exit code of its own, which an earlier version did not keep.",
            &["Look at the reason and at the last lines.", RETRY],
        ),
        CauseKind::AgentCrashed => (
            "The agent ended in a way of which it has no exit code: a defect of agent-runner, or another \
             program at the image's entry point.",
            &[
                "Look at the last lines: a panic says where.",
                "Prove the image: coordinator check",
                "A panic of agent-runner is a defect: report it with this page.",
            ],
        ),
        CauseKind::AgentKilled => (
            "A signal ended the agent from outside, and nobody says why. Signal 9 without a word is most \
             often the kernel for want of memory on the host, else somebody's docker kill.",
            &[
                "Look whether the host ran out of memory at that time: dmesg, journalctl -k",
                "Give the job less to do at once, the host more memory, or set AGENT_MEMORY.",
                RETRY,
            ],
        ),
        CauseKind::OutOfMemory => (
            "The kernel ended the agent, or what it had started, because the memory that the job may take \
             was used up.",
            &["Raise AGENT_MEMORY, or let fewer jobs run at once (MAX_CONCURRENT_AGENTS).", RETRY],
        ),
        CauseKind::NotStarted => (
            "No agent could be started, neither in a container nor, where that is allowed, on the host. \
             Nothing was done.",
            &["Prove what the settings need, and follow its cures: coordinator check", RETRY],
        ),
        CauseKind::ForgeToken => (
            "The GitHub App gave no token for the job's repository, so that no agent was started.",
            &["Install the App on that repository, with the permissions in the runbook.", RETRY],
        ),
        CauseKind::ImageMissing => (
            "The engine has no image of that name and cannot pull it. Nothing was done.",
            &["Build or pull the image, or mend AGENT_IMAGE or project_images.json.", RETRY],
        ),
        CauseKind::NoSpace => (
            "A disk was full: that of the engine, or that of a run on the host.",
            &[
                "Make room on the disk of Docker's data: df -h, docker system df, coordinator gc",
                "Set DISK_FLOOR_MIB, so that nothing is claimed when it gets short.",
                RETRY,
            ],
        ),
        CauseKind::DiskLimit => (
            "The job took more disk space than it may, and was stopped.",
            &["Raise AGENT_DISK. In dind modes the images of the inner Docker count too.", RETRY],
        ),
        CauseKind::PidsLimit => (
            "No process could be started any more: the job, or the machine, had as many as it may.",
            &["Raise AGENT_PIDS, or look for what starts so many.", RETRY],
        ),
        CauseKind::EngineLost => (
            "The Docker Engine stopped or was restarted while the agent ran, and ended it.",
            &[
                "Set \"live-restore\": true in Docker's daemon.json: then containers outlive its restart.",
                RETRY_NOW,
            ],
        ),
        CauseKind::ContainerGone => (
            "Somebody removed the job's container before its end was seen: docker rm, docker system prune, \
             or another tool.",
            &["Have clean-up jobs of this host leave containers with our labels alone.", RETRY_NOW],
        ),
        CauseKind::KeeperGone => (
            "Somebody ended the keeper of the agent on this host, and the agent with it; or the machine had \
             no memory left.",
            &["Look whether the host ran out of memory: dmesg, journalctl -k", RETRY_NOW],
        ),
        CauseKind::AdoptedGone => (
            "The coordinator was away, and when it came back nothing was left of the agent: nobody knows how \
             it ended.",
            &[
                "Look on the forge whether it had pushed its branch before.",
                "Was the host booted anew, or its containers removed?",
                RETRY_NOW,
            ],
        ),
        CauseKind::Deadline => (
            "The job ran longer than it may, and was stopped. What there was is saved if the agent had the \
             time.",
            &["Raise JOB_TIMEOUT, or split the ticket.", RETRY],
        ),
        CauseKind::Stalled => (
            "The agent printed nothing for so long that it counts as stuck, and was stopped.",
            &[
                "The last lines show what it was at: a command that waits for input, a model that does \
                 not answer.",
                "Raise STALL_TIMEOUT if that may take so long.",
                RETRY,
            ],
        ),
        CauseKind::GatewayLost => (
            "The gateway beside the container ended, and with it the agent's way to the network or the \
             model.",
            &[
                "Its last words are at the end of the job's log. Did somebody end it, or was memory short?",
                RETRY_NOW,
            ],
        ),
        CauseKind::Cancelled => (
            "Somebody cancelled the ticket in the app, and the agent ended as it was asked to.",
            &["Nothing, if that was meant. Else start it again: coordinator retry JOB"],
        ),
        CauseKind::Interrupted => (
            "The coordinator was stopped in a way that stops its jobs (ON_STOP=stop), or before the job \
             had begun.",
            &[
                "Stop it by draining (coordinator drain), or let agents live on (ON_STOP=detach).",
                RETRY_NOW,
            ],
        ),
        CauseKind::Unreadable => (
            "The app handed out a job that cannot be understood; the reason names the field.",
            &["Mend the ticket or project in the app. Do the versions fit one another?", RETRY],
        ),
        CauseKind::NotRecorded => (
            "The state directory did not take the claim, so that the job was not begun.",
            &["Look at the state directory: disk full, read-only, another owner?", RETRY],
        ),
        CauseKind::Internal => (
            "The coordinator itself has a defect; the job was given up so that it does not hang.",
            &["Report it with this page and the coordinator's log of that time.", RETRY_NOW],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_words_and_something_to_do() {
        let causes = CauseKind::ALL.into_iter().map(Ending::Cause);
        let exits = AgentExit::ALL.into_iter().map(Ending::Agent);
        let others = [Ending::Delivered, Ending::Superseded, Ending::Unknown];
        for ending in causes.chain(exits).chain(others) {
            let Meaning { means, next } = ending.meaning();
            assert!(means.ends_with('.') && means.len() > 30, "{ending:?}: {means}");
            assert!(!next.is_empty(), "{ending:?}");
            for text in next.iter().chain([&means]) {
                assert!(!text.contains("  ") && !text.contains('\n'), "{ending:?}: {text}");
            }
        }
    }
}
