//! The terminal that an operator sits at: handed over whole, and given back as it was however that ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::unix::AsyncFd;

use crate::engine::Size;

/// The terminal of this process, whatever standard input is.
const TERMINAL: &str = "/dev/tty";

/// The terminal in raw mode: every key is handed on as it is, interrupts included. Dropped, the terminal
/// is as it was before: at a return, at a panic, and where a future is dropped half way.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    /// Opened anew, so that others who share the terminal do not become non-blocking with it.
    file: AsyncFd<File>,
    before: Termios,
}

impl RawTerminal {
    /// Takes it.
    pub(crate) fn take() -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(flags.bits()).open(TERMINAL)?;
        let before = tcgetattr(&file)?;
        let file = watched(file)?;
        let mut raw = before.clone();
        raw.make_raw();
        let terminal = Self { file, before };
        tcsetattr(terminal.file.get_ref(), OptionalActions::Now, &raw)?;
        Ok(terminal)
    }

    /// What was typed next; nothing once the terminal is gone.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.file.readable().await?;
            if let Ok(read) = ready.try_io(|file| file.get_ref().read(buffer)) {
                return read;
            }
        }
    }

    /// Its size; none where it does not tell.
    pub(crate) fn size(&self) -> Option<Size> {
        let size = tcgetwinsize(self.file.get_ref()).ok()?;
        (size.ws_row > 0).then_some(Size { rows: size.ws_row, columns: size.ws_col })
    }
}

#[expect(
    deprecated,
    reason = "the other way needs unsafe code; a file keeps its descriptor to its end"
)]
fn watched(file: File) -> io::Result<AsyncFd<File>> {
    AsyncFd::new(file)
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _restored = tcsetattr(self.file.get_ref(), OptionalActions::Now, &self.before);
    }
}
