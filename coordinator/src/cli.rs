//! The command line: arguments only, one file for each command. What a command does is in
//! `command/`, in a file of the same name.

mod attach;
mod bundle;
mod check;
mod completions;
mod config;
mod confine;
mod drain;
mod explain;
mod flags;
mod gc;
mod image;
mod job;
mod jobs;
mod keep;
mod log_level;
mod logs;
mod man;
mod retry;
mod run;
mod service;
mod status;
mod version;

use clap::{Parser, Subcommand};

pub(crate) use self::attach::Attach;
pub(crate) use self::bundle::BundleArguments;
pub(crate) use self::check::Check;
pub(crate) use self::completions::Completions;
pub(crate) use self::config::ShowConfig;
pub(crate) use self::confine::ConfineArguments;
pub(crate) use self::drain::Drain;
pub(crate) use self::explain::Explain;
pub(crate) use self::gc::Gc;
pub(crate) use self::image::{Image, ImageAction, ImageBuild, ImageList, ImageMap};
pub(crate) use self::jobs::Jobs;
pub(crate) use self::keep::KeepArguments;
pub(crate) use self::log_level::LogLevel;
pub(crate) use self::logs::Logs;
pub(crate) use self::man::Manual;
pub(crate) use self::retry::Retry;
pub(crate) use self::run::Run;
pub(crate) use self::service::ServiceSettings;
pub(crate) use self::status::Show;
pub(crate) use self::version::Version;

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
    /// List jobs: those that run, and those that have ended, the latest first, with where the work is.
    Jobs(Jobs),
    /// Tell everything about one job on one page: its course, why it ended so, what to do next.
    Explain(Explain),
    /// Put what is on record of one job into an archive for a bug report, without secrets.
    Bundle(BundleArguments),
    /// Tell what keeps jobs from being claimed, since when, and what mends it.
    WhyIdle(Show),
    /// Print what the agent of a job printed, and follow it.
    Logs(Logs),
    /// Open a shell in the container of a running job.
    Attach(Attach),
    /// Have the app queue the ticket of a job again.
    Retry(Retry),
    /// Have the running coordinator claim nothing until `resume`; a restart changes nothing about it.
    Pause(Show),
    /// Have it claim again after `pause` or `drain`.
    Resume(Show),
    /// Have it claim nothing, finish its jobs and end.
    Drain(Drain),
    /// Change what the running coordinator logs: for a time, or until its settings are read again.
    LogLevel(LogLevel),
    /// Have the running coordinator send its webhook a trial notification.
    NotifyTest(Show),
    /// Remove what belongs to no job: containers, networks, volumes, notes, logs beyond their bounds.
    Gc(Gc),
    /// The images that jobs run in: make the agent's, list them, show and change which project has which.
    Image(Image),
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
    /// Print completions for a shell: `source <(coordinator completions bash)`.
    Completions(Completions),
    /// Print the manual page, or write the pages of all commands.
    Man(Manual),
    /// Print the version.
    Version(Version),
}

const AFTER_HELP: &str = "Every setting can also be given by environment variable or in the \
    configuration file; a flag wins over the environment, which wins over the file.\n\
    Secrets have no flag: they are given by environment variable or in a file.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::settings;

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
