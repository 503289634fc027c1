//! The flags of settings, made from the table of settings. Their values stay text: they are checked
//! with those of the other sources.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Flags, Kind, Preset, Setting, USUAL_FILE, settings};

const CONFIG: &str = "config";

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
