//! The crash campaign: the real coordinator is killed at every point of a job's way, started again,
//! and what became of the job is checked.
//!
//! A *point* is a moment of an event: of a request to the engine or to the app, or of a change in
//! the state directory. Which events there are is recorded first, by a run without a kill. Every
//! point has a scene of its own: an app, a state directory and proxies that no other point shares.

mod agents;
mod course;
mod disk;
mod evidence;
mod journal;
mod parse;
mod plan;
mod point;
mod runner;
mod scenario;
mod scene;
mod verdict;

pub use course::{Course, Kill};
pub use disk::tracer_missing;
pub use plan::{Record, every_point, merged, random_courses, recordings, spread};
pub use point::{EventName, Moment, Point, Side};
pub use runner::{Campaign, Taken};
pub use scenario::{Dialect, Scenario, Setting};
pub use verdict::{Tally, Verdict};
