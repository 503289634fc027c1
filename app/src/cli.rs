//! The command line: arguments only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use api_client::{JobId, MemoryId, ProjectId, TicketId};
use clap::{Args, Parser, Subcommand};

use crate::dollars::Dollars;
use crate::lease::{lease_length, max_attempts};
use crate::model::{ExecutionMode, JobStatus, Priority};
use crate::review;

const CLIENT_HELP: &str = "The key is read from TERARCHITECT_WORKER_API_KEY or --key-file.";

/// Stand-in for the ticket app: a small server with the same worker API, and commands to use it.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "terarchitect-app", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArgs),
    /// Add and list projects
    Project(Client<ProjectCommand>),
    /// Add tickets and give them to the agents
    Ticket(Client<TicketCommand>),
    /// Look at the queue
    Job(Client<JobCommand>),
    /// Look at what projects remember, and delete it
    Memory(Client<MemoryCommand>),
    /// Show and change settings
    Settings(Client<SettingsCommand>),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 picks a free one. Any but a loopback address needs a key
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:5010")]
    pub(crate) listen: SocketAddr,
    /// Database file, made when missing [default: app.db in the user's data folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) db: Option<PathBuf>,
    /// File that holds the key callers need; otherwise TERARCHITECT_WORKER_API_KEY
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Write the port listened on to this file once requests are taken
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
    /// How long a claim holds a job without being renewed, such as 90 or 0.5 [default:
    /// TERARCHITECT_APP_LEASE_SEC, else 90]
    #[arg(long, value_name = "SECONDS", value_parser = lease_length)]
    pub(crate) lease_sec: Option<Duration>,
    /// How often a job is handed out before the expiry of its lease fails it [default:
    /// TERARCHITECT_APP_MAX_ATTEMPTS, else 3]
    #[arg(long, value_name = "COUNT", value_parser = max_attempts)]
    pub(crate) max_attempts: Option<u32>,
    /// Behave as the original app does: no claim ids, leases or heartbeats, and a request to cancel
    /// stays with the ticket until a restart; also TERARCHITECT_APP_ORIGINAL=1
    #[arg(long, conflicts_with_all = ["lease_sec", "max_attempts"])]
    pub(crate) original: bool,
    /// How often the pull requests of tickets in review are looked at, in seconds; 0: when the forge sends an
    /// event, and once an hour [default: TERARCHITECT_APP_REVIEW_POLL_SEC, else 60]
    #[arg(long, value_name = "SECONDS", value_parser = review::seconds)]
    pub(crate) review_poll_sec: Option<Duration>,
    /// How long after the newest comment a review job is started [default:
    /// TERARCHITECT_APP_REVIEW_DEBOUNCE_SEC, else 30]
    #[arg(long, value_name = "SECONDS", value_parser = review::seconds)]
    pub(crate) review_debounce_sec: Option<Duration>,
    /// How many review jobs are started for the same comments [default:
    /// TERARCHITECT_APP_REVIEW_ATTEMPTS, else 3]
    #[arg(long, value_name = "COUNT", value_parser = review::attempts)]
    pub(crate) review_attempts: Option<u32>,
    /// The pause after a review job that failed, which doubles with each [default:
    /// TERARCHITECT_APP_REVIEW_BACKOFF_SEC, else 300]
    #[arg(long, value_name = "SECONDS", value_parser = review::seconds)]
    pub(crate) review_backoff_sec: Option<Duration>,
    /// Base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8080/v1, by which memory is
    /// searched by meaning too [default: TERARCHITECT_APP_EMBEDDING_URL, else none]
    #[arg(long, value_name = "URL")]
    pub(crate) embedding_url: Option<String>,
    /// The endpoint's model [default: TERARCHITECT_APP_EMBEDDING_MODEL]
    #[arg(long, value_name = "NAME")]
    pub(crate) embedding_model: Option<String>,
    /// File that holds the endpoint's key; otherwise TERARCHITECT_APP_EMBEDDING_KEY, else none is sent
    #[arg(long, value_name = "FILE")]
    pub(crate) embedding_key_file: Option<PathBuf>,
}

/// A command that talks to a running server.
#[derive(Debug, Args)]
#[command(after_help = CLIENT_HELP)]
pub(crate) struct Client<C: Subcommand> {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) command: C,
}

#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Base URL of the server [default: TERARCHITECT_API_URL, else http://127.0.0.1:5010]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File that holds the server's key; otherwise TERARCHITECT_WORKER_API_KEY
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Print the server's JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Add a project
    Add(ProjectAdd),
    /// List all projects
    List,
    /// Set what the jobs of a project may use in one day (UTC)
    Budget(ProjectBudget),
}

#[derive(Debug, Args)]
pub(crate) struct ProjectBudget {
    pub(crate) id: ProjectId,
    /// Tokens, in and out together; 0 for no limit
    #[arg(long, value_name = "COUNT", required_unless_present = "money")]
    pub(crate) tokens: Option<u64>,
    /// US dollars; 0 for no limit. Money is counted where the prices of the models are set
    #[arg(long, value_name = "USD")]
    pub(crate) money: Option<Dollars>,
}

#[derive(Debug, Args)]
pub(crate) struct ProjectAdd {
    #[arg(long)]
    pub(crate) name: String,
    /// HTTP(S) URL of the repository, without credentials
    #[arg(long, value_name = "URL", required_unless_present = "path")]
    pub(crate) repo_url: Option<String>,
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// Where jobs run: docker, or local, which needs --path
    #[arg(long, value_name = "MODE", default_value = "docker")]
    pub(crate) execution_mode: ExecutionMode,
    /// The repository on the coordinator's host, for local execution
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TicketCommand {
    /// Add a ticket to the backlog
    Add(TicketAdd),
    /// List the tickets of a project
    List {
        #[arg(long, value_name = "ID")]
        project: ProjectId,
    },
    /// Move a ticket to In Progress, which puts a job in the queue
    Start { id: TicketId },
    /// Show a ticket
    Show { id: TicketId },
    /// Show what the agents logged
    Logs { id: TicketId },
    /// Withdraw the ticket's waiting job, or ask the running one to stop
    Cancel { id: TicketId },
}

#[derive(Debug, Args)]
pub(crate) struct TicketAdd {
    #[arg(long, value_name = "ID")]
    pub(crate) project: ProjectId,
    #[arg(long)]
    pub(crate) title: String,
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// low, medium or high
    #[arg(long, default_value = "medium")]
    pub(crate) priority: Priority,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List jobs, newest first
    List {
        /// pending, running, completed, failed or cancelled
        #[arg(long)]
        status: Option<JobStatus>,
        #[arg(long, value_name = "ID")]
        project: Option<ProjectId>,
    },
    /// Show a job
    Show { id: JobId },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// List what a project remembers, newest first
    List {
        #[arg(long, value_name = "ID")]
        project: ProjectId,
        /// At most this many, up to 1000
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: u32,
        /// Leave out this many of the newest
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        offset: u32,
    },
    /// Delete passages of a project's memory
    Delete {
        #[arg(long, value_name = "ID")]
        project: ProjectId,
        /// The passages
        #[arg(value_name = "MEMORY", required_unless_present = "all", conflicts_with = "all")]
        memories: Vec<MemoryId>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SettingsCommand {
    /// Set a setting; a blank value unsets it
    Set {
        name: String,
        /// The value, or - to read it from standard input, as secrets must be
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Show all settings; of secrets, whether they are set
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_server_listens_on_loopback_unless_told_otherwise() {
        let cli = Cli::try_parse_from(["terarchitect-app", "serve"]).unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("not serve");
        };
        assert_eq!(args.listen.to_string(), "127.0.0.1:5010");
    }

    #[test]
    fn a_project_in_containers_needs_a_repository() {
        let words = ["terarchitect-app", "project", "add", "--name", "demo"];
        let error = Cli::try_parse_from(words).unwrap_err();
        assert!(error.to_string().contains("--repo-url"), "{error}");
    }
}
