//! The coordinator as it is used: the real program, the real app, the real Docker Engine, and a
//! stub in place of the agent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attach;
mod bundle;
mod caches;
mod check;
mod check_broken;
mod check_image;
mod check_scene;
mod commands_json;
mod custody;
mod document;
mod ending;
mod explain;
mod fallback;
mod github_app;
mod health;
mod host;
mod image_command;
mod images;
mod lease;
mod limits;
mod logging;
mod migration;
mod neighbours;
mod notifying;
mod once;
mod operating;
mod original;
mod outcome;
mod output;
mod parking;
mod readiness;
mod restart;
mod scene;
mod secrets;
mod service_settings;
mod several;
mod slots;
mod state;
mod stopping;
mod surroundings;
mod tracing;
mod unfit;
mod upgrading;
