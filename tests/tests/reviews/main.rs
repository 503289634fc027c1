//! The app's review loop on each of the forges: the real `terarchitect-app` and a forge over HTTP, whose
//! description every request is checked against.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod comments;
mod endings;
mod events;
mod scene;
