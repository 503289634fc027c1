//! Arguments of `coordinator completions`.

use clap::Args;
use clap_complete::Shell;

/// Arguments of `coordinator completions`.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
}
