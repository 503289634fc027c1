#![doc = include_str!("../README.md")]

mod activity;
mod adopt;
mod alias;
mod board;
mod breaker;
mod breakers;
mod bundle;
mod calls;
mod check;
mod claim;
mod cli;
mod clock;
mod collect;
mod command;
mod config;
mod confine;
mod context;
mod control;
mod daemon;
mod engine;
#[cfg(test)]
mod executable;
mod explain;
mod folder_size;
mod forge_token;
mod gate;
mod github_app;
mod headroom;
mod health;
mod history;
mod home_engine;
mod housekeeping;
mod identity;
mod idle;
mod images;
mod job;
mod keeper;
mod launch;
mod lease;
mod ledger;
mod left_out;
mod logging;
mod manual;
mod metrics;
mod notification;
mod notify;
mod operate;
mod outcome;
mod output;
mod paper;
mod present;
mod probe;
mod process;
mod pulls;
mod pulse;
mod readiness;
mod registry_login;
mod renewed;
mod report;
mod resume;
mod retry;
mod rotation;
mod shutdown;
mod signals;
mod slot;
mod supervise;
mod terminal;
mod traces;
mod unknown;
mod verdict;
mod watchdog;
mod work;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

fn main() -> ExitCode {
    command::carry_out(Cli::parse().action).unwrap_or_else(|failure| {
        command::complain(&failure.message);
        ExitCode::from(failure.code)
    })
}
