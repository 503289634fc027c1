//! What the pages for people tell to do can be done: every command line is one of the programs', every
//! path is there, every link leads somewhere, every name of a setting is one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod examples;
mod in_image;
mod links;
mod names;
mod page;
mod shell;
