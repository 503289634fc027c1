//! Why a run ends without a pull request. What each reason means is in [`meaning`].

mod meaning;
mod published;
mod text;

use std::path::PathBuf;

use api_client::outcome::Finding;
use api_client::{ApiError, ClientError, UtcTime};

pub(crate) use self::published::{Published, Replies};
pub(crate) use self::text::paths_text;

use self::text::{findings_text, shown_text, words_text};
use crate::checkout::CheckoutError;
use crate::director::{DirectorError, Stagnant};
use crate::forge::ForgeError;
use crate::inner_docker::InnerDockerError;
use crate::model_gateway::ModelGatewayError;
use crate::pressure::Limit;
use crate::processes::NotAlone;
use crate::project_file::ProjectFileError;
use crate::prompt::PromptError;
use crate::publish::PublishError;
use crate::settings::SettingsError;
use crate::worker::{CommandEnd, Ending, WorkerError};

/// A run that was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A prompt cannot be used.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The author of commits cannot be used.
    #[error("GIT_USER_NAME and GIT_USER_EMAIL do not make an author")]
    Author(#[source] PublishError),
    /// The forge cannot be spoken to with these settings.
    #[error("no pull request could be opened with these settings")]
    Forge(#[source] ForgeError),
    /// The client of the app cannot be set up.
    #[error("the app cannot be called")]
    App(#[from] ClientError),
    /// The app did not send the ticket.
    #[error("the ticket could not be had from the app")]
    Context(#[source] ApiError),
    /// The app sent a context without the ticket itself.
    #[error("the app's answer has no ticket in it (current_ticket)")]
    NoTicket,
    /// A folder of this machine could not be used.
    #[error("cannot {attempted}")]
    Folder {
        /// What was attempted.
        attempted: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The repository could not be fetched.
    #[error("the repository could not be fetched")]
    Checkout(#[source] CheckoutError),
    /// What the repository says of runs on it cannot be used.
    #[error(transparent)]
    ProjectFile(#[from] ProjectFileError),
    /// The inner Docker engine cannot be offered.
    #[error(transparent)]
    InnerDocker(#[from] InnerDockerError),
    /// The model cannot be offered to the coding CLI.
    #[error("the worker cannot be given its model")]
    Model(#[from] ModelGatewayError),
    /// The coding CLI could not be run.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The coding CLI's turn did not end well.
    #[error("{0}")]
    Turn(Ending),
    /// The Director could not do its part.
    #[error(transparent)]
    Director(#[from] DirectorError),
    /// The Director wants more turns than there are.
    #[error("the ticket is not done after {turns} turns; AGENT_MAX_TURNS allows no more")]
    TurnsUsedUp {
        /// How many there were.
        turns: u32,
    },
    /// Nothing moved any more.
    #[error(
        "the work does not move on: for three turns running {}, also after a change of approach was \
         demanded; {turns} turns in all",
        what.words()
    )]
    Stagnated {
        /// What did not change.
        what: Stagnant,
        /// How many turns there were.
        turns: u32,
    },
    /// A provider's limit is used up for longer than the run waits.
    #[error("{what}; it can go on at {until}")]
    Parked {
        /// Whose limit it is, and what was said of it.
        what: String,
        /// When it is over.
        until: UtcTime,
    },
    /// It did not, and the kernel had held the worker to a limit.
    #[error("{ending}; {limit}")]
    Limited {
        /// How the turn ended.
        ending: Ending,
        /// The limit.
        limit: Limit,
    },
    /// Something of the worker may still run, and could take the forge's token.
    #[error("nothing is published while something of the worker may run")]
    NotAlone(#[from] NotAlone),
    /// The coding CLI's turn ended well, and nothing is different.
    #[error("the worker ended well and changed nothing{}", words_text(answer))]
    NoChanges {
        /// What it said.
        answer: String,
    },
    /// The repository's set-up command failed.
    #[error("the repository's set-up command {command:?} failed: {end}")]
    SetUp {
        /// The command.
        command: String,
        /// How it ended.
        end: CommandEnd,
    },
    /// The repository's check fails on the work.
    #[error("the repository's check fails on the work: {end}{}", shown_text(proposed.as_deref()))]
    ChecksFailed {
        /// How it ended.
        end: CommandEnd,
        /// The draft that shows the work.
        proposed: Option<String>,
    },
    /// The work must not be published.
    #[error("the work is not published: {}", findings_text(findings))]
    Blocked {
        /// What keeps it.
        findings: Vec<Finding>,
    },
    /// Whether the base has moved is not known, or the work could not be brought up to date.
    #[error("the work could not be compared with {base} as it is now")]
    Freshness {
        /// The base branch.
        base: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The work would undo what others did.
    #[error(
        "the work is not published: it would undo what landed on {base} meanwhile, in {}",
        paths_text(files)
    )]
    Reverts {
        /// The base branch.
        base: String,
        /// The files.
        files: Vec<PathBuf>,
    },
    /// The work could not be committed.
    #[error("the work could not be committed")]
    Commit(#[source] PublishError),
    /// Content of files in Git LFS cannot be had, so that their pointers would lead nowhere.
    #[error("the content of the work's files in Git LFS could not be gathered")]
    LfsNotGathered(#[source] PublishError),
    /// The content of files in Git LFS could not be sent.
    #[error("the files in Git LFS could not be sent, so the work is not pushed")]
    LfsNotSent(#[source] PublishError),
    /// The work could not be pushed.
    #[error("the work could not be pushed")]
    Push {
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The push succeeded, and the remote does not show or say it.
    #[error("branch {branch} was pushed, but the remote did not confirm it")]
    NotConfirmed {
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// The branch is pushed; the pull request could not be opened or confirmed.
    #[error("branch {branch} is pushed, but there is no confirmed pull request")]
    PullRequest {
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: ForgeError,
    },
    /// The pull request is open, and the app does not know.
    #[error("{url} is open, but the app did not take the completion")]
    Completion {
        /// The pull request.
        url: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// The lease is over: whoever has the job now is not to be disturbed.
    #[error("the job was given to someone else or has ended; {published}")]
    Superseded {
        /// How far this run came.
        published: Published,
        /// What the app answered.
        #[source]
        source: ApiError,
    },
    /// The app did not say whether the job is still ours.
    #[error("whether the job is still ours could not be had from the app; {published}")]
    LeaseUnknown {
        /// How far this run came.
        published: Published,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// The app asked for the end, or the runner was told to stop.
    #[error("{}", .0.at_cancellation())]
    Cancelled(Published),
    /// The same, but what was to be brought to an end took too long.
    #[error("cancelled; the run was cut short, the step before this one tells how far it came")]
    CutShort,
    /// A pull request that is not to be worked on.
    #[error("pull request #{number} is not worked on: {why}")]
    ReviewRefused {
        /// Its number.
        number: u64,
        /// What keeps us from it.
        why: String,
    },
    /// It was closed or merged while the agent worked on it.
    #[error("pull request #{number} was closed or merged while it was worked on")]
    ReviewOver {
        /// Its number.
        number: u64,
    },
    /// What is said of the pull request could not be read.
    #[error("the review of the pull request could not be read")]
    ReviewUnread(#[source] ForgeError),
    /// What was decided could not be noted on the pull request, so that nothing is said there.
    #[error("what was decided of the review could not be noted on the pull request")]
    ReviewNotNoted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not all replies are posted; the next run posts the rest.
    #[error("{posted} of {all} replies are posted on {url}; a further run posts the others")]
    ReplyNotPosted {
        /// The pull request.
        url: String,
        /// How many are.
        posted: usize,
        /// How many there are to be.
        all: usize,
        /// Why.
        #[source]
        source: Box<ForgeError>,
    },
}
