//! What the packages do and bring, as far as it can be seen without a machine of their own (`tests/install` is
//! that): their scriptlets, with stand-ins for the service manager, and their documentation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documentation;
mod scriptlets;

use std::path::Path;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
