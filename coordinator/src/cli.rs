//! The command line: arguments only. The flags of settings are made from the table of settings,
//! and their values are checked with those of the other sources.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use crate::config::{Flags, Kind, Preset, Setting, USUAL_FILE, settings};

const CONFIG: &str = "config";

/// Claims jobs of the app, runs one container for each, and reports every outcome.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Claim and run jobs until told to stop.
    Run(Run),
    /// Show what the running coordinator does: jobs, outcomes that wait, why nothing is claimed.
    Status(Show),
    /// List jobs that have ended, the latest first: what they came to, and where the work is.
    Jobs(Jobs),
    /// Have the running coordinator claim nothing until `resume`; a restart changes nothing about it.
    Pause(Plain),
    /// Have it claim again after `pause` or `drain`.
    Resume(Plain),
    /// Have it claim nothing, finish its jobs and end.
    Drain(Drain),
    /// Remove what belongs to no job: containers, networks, volumes, notes, logs beyond their bounds.
    Gc(Gc),
    /// Prove that jobs could be run: the engine, the image, the mode, the limits. Exit 1: they cannot.
    Check(Check),
    /// Stay with an agent on this host. The coordinator itself starts this.
    #[command(hide = true)]
    Keep(KeepArguments),
    /// Become an agent on this host. Its keeper starts this.
    #[command(hide = true)]
    Confine(ConfineArguments),
    /// Print the effective settings and where each comes from; secrets are not shown.
    Config(ShowConfig),
    /// Print the version.
    Version,
}

/// Arguments of `coordinator run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Take one job if one waits, report it, and stop: exit 4 when it failed.
    #[arg(long)]
    pub(crate) once: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of `coordinator config`.
#[derive(Args, Debug)]
pub(crate) struct ShowConfig {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of a command to the running coordinator.
#[derive(Args, Debug)]
pub(crate) struct Plain {
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of `coordinator status`.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of `coordinator jobs`.
#[derive(Args, Debug)]
pub(crate) struct Jobs {
    /// Print one JSON array, with all that is kept.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) limit: usize,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of `coordinator drain`.
#[derive(Args, Debug)]
pub(crate) struct Drain {
    /// Return at once.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// The settings: the state directory is the one that counts.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of `coordinator gc`.
#[derive(Args, Debug)]
pub(crate) struct Gc {
    /// Show what would go, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of `coordinator check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings. Where a coordinator runs in the state directory, it checks its own.
    #[command(flatten)]
    pub(crate) settings: Flags,
}

/// Arguments of the keeper of an agent on this host.
#[derive(Args, Debug)]
pub(crate) struct KeepArguments {
    /// Where it keeps its notes.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The log of the job.
    #[arg(long)]
    pub(crate) log: PathBuf,
    /// Between the request to end and the kill, in milliseconds.
    #[arg(long)]
    pub(crate) grace_ms: u64,
    /// The agent: program and arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Arguments of the process that becomes an agent on this host.
#[derive(Args, Debug)]
pub(crate) struct ConfineArguments {
    /// The folder for its temporary files.
    #[arg(long)]
    pub(crate) temporary: PathBuf,
    /// A path that it must see as it is.
    #[arg(long)]
    pub(crate) seen: Vec<PathBuf>,
    /// The user as whom it runs.
    #[arg(long, requires = "gid")]
    pub(crate) uid: Option<u32>,
    /// The first group of that user.
    #[arg(long, requires = "uid")]
    pub(crate) gid: Option<u32>,
    /// A group of that user.
    #[arg(long)]
    pub(crate) group: Vec<u32>,
    /// Open files of one process.
    #[arg(long)]
    pub(crate) files: Option<u64>,
    /// Processes of its user.
    #[arg(long)]
    pub(crate) processes: Option<u64>,
    /// The agent: program and arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

const AFTER_HELP: &str = "Every setting can also be given by environment variable or in the \
    configuration file; a flag wins over the environment, which wins over the file.\n\
    Secrets have no flag: they are given by environment variable or in a file.";

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!("Configuration file [default: {USUAL_FILE}, if it is there]"));
        let flags = settings().filter_map(|setting| {
            let flag = setting.flag?;
            let action = match setting.kind {
                Kind::List => ArgAction::Append,
                Kind::Text
                | Kind::Url
                | Kind::Number
                | Kind::Duration
                | Kind::Size
                | Kind::Switch
                | Kind::Secret { .. } => ArgAction::Set,
            };
            Some(
                Arg::new(flag.name)
                    .long(flag.name)
                    .value_name(flag.value)
                    .action(action)
                    .allow_negative_numbers(true)
                    .help(help(setting)),
            )
        });
        command.next_help_heading("Settings").arg(config).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let internal = |error: clap::parser::MatchesError| {
            clap::Error::raw(ErrorKind::InvalidValue, error.to_string())
        };
        if let Some(path) = matches.try_get_one::<PathBuf>(CONFIG).map_err(internal)? {
            self.config = Some(path.clone());
        }
        for flag in settings().filter_map(|setting| setting.flag) {
            let given = matches.try_get_many::<String>(flag.name).map_err(internal)?;
            if let Some(given) = given {
                self.values.insert(flag.name, given.cloned().collect());
            }
        }
        Ok(())
    }
}

fn help(setting: &Setting) -> String {
    let doc = setting.doc;
    let variables = setting.variables().collect::<Vec<_>>().join(", ");
    match setting.preset {
        Preset::Required => format!("{doc} [env: {variables}] [no default]"),
        Preset::Value(default) | Preset::Found(default) | Preset::Unset(default) => {
            format!("{doc} [env: {variables}] [default: {default}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(arguments: &[&str]) -> Result<Run, clap::Error> {
        let all = ["coordinator", "run"].iter().chain(arguments);
        match Cli::try_parse_from(all)?.action {
            Action::Run(run) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_keep_their_text_for_the_configuration_to_judge() {
        let run = run(&[
            "--once",
            "--project=a",
            "--project",
            "b",
            "--max-concurrent",
            "-1",
            "--cache-volume=",
            "--config",
            "/x.toml",
        ])
        .unwrap();
        assert!(run.once);
        let flags = run.settings;
        assert_eq!(flags.config, Some("/x.toml".into()));
        assert_eq!(flags.values["project"], ["a", "b"]);
        assert_eq!(flags.values["max-concurrent"], ["-1"]);
        assert_eq!(flags.values["cache-volume"], [""]);
        assert_eq!(flags.values.len(), 3);
    }

    #[test]
    fn a_setting_that_has_one_value_cannot_be_given_twice() {
        assert!(run(&["--image", "a", "--image", "b"]).is_err());
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        assert!(run(&["--github-token", "x"]).is_err());
    }

    #[test]
    fn the_help_names_every_flag_and_its_variable() {
        let mut command = Cli::command();
        let run = command.find_subcommand_mut("run").unwrap();
        let help = run.render_long_help().to_string();
        for setting in settings() {
            if let Some(flag) = setting.flag {
                assert!(help.contains(&format!("--{} <", flag.name)), "{}", flag.name);
                assert!(help.contains(setting.name), "{}", setting.name);
            }
        }
    }
}
