//! The changes that the coordinator makes in its state directory, one by one, as `strace` tells
//! them. Each is held up for a moment, so that the coordinator can be killed right before it is made
//! or right after.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio_util::task::AbortOnDropHandle;

use super::journal::Journal;
use super::point::Moment;

/// How long each change is held up, in microseconds: time enough to kill on a loaded machine.
const HOLD_UP: u32 = 60_000;

/// The calls that make a change durable or visible.
const CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat";

/// Why changes cannot be seen here, if they cannot.
pub fn tracer_missing() -> Option<String> {
    let tried = Command::new("strace")
        .args(["-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=rename", "true"])
        .stdin(Stdio::null())
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "strace does not work here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("strace cannot be run: {error}")),
    }
}

/// Sees the changes of one life. It must outlive every process that the coordinator started: they
/// are traced as well.
#[derive(Debug)]
pub(super) struct Tracer {
    fifo: PathBuf,
    hold_up: Moment,
    _task: AbortOnDropHandle<()>,
}

impl Tracer {
    /// Takes changes below `state` down in the journal. `moment` is when each is held up.
    pub(super) fn new(
        fifo: PathBuf,
        state: PathBuf,
        journal: Arc<Journal>,
        moment: Moment,
    ) -> Self {
        mkfifo(&fifo, Mode::S_IRWXU).expect("a pipe in a folder of ours");
        // Opened for writing too: the pipe is there before strace is, and never at its end.
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(&fifo);
        let pipe = pipe.expect("a pipe that was just made");
        let task = tokio::spawn(follow(pipe, state, journal));
        Self { fifo, hold_up: moment, _task: AbortOnDropHandle::new(task) }
    }

    /// The command that runs the one after it in its own process, watched.
    pub(super) fn wrapper(&self) -> Vec<String> {
        let mut words =
            ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-qq"].map(String::from).to_vec();
        words.extend(["-e", "signal=none", "-e"].map(String::from));
        words.push(format!("trace={CALLS}"));
        let when = if self.hold_up == Moment::Before { "delay_enter" } else { "delay_exit" };
        words.extend(["-e".to_owned(), format!("inject={CALLS}:{when}={HOLD_UP}")]);
        words.extend(["-o".to_owned(), self.fifo.display().to_string()]);
        words
    }
}

async fn follow(mut pipe: pipe::Receiver, state: PathBuf, journal: Arc<Journal>) {
    let mut calls = Calls::default();
    let (mut under_way, mut names) = (HashMap::new(), Names::default());
    let mut piece = vec![0; 16 << 10];
    while let Ok(count) = pipe.read(&mut piece).await {
        for call in calls.read(&String::from_utf8_lossy(&piece[..count])) {
            match call {
                Call::Begun { thread, call, path } => {
                    let below = path.strip_prefix(&state).ok().and_then(Path::to_str);
                    if let Some(below) = below.filter(|_| journal.is_of_victim(thread)) {
                        let event = journal.change(&call, &names.of(&call, thread, &path, below));
                        under_way.insert(thread, event);
                        journal.reach(event, Moment::Before);
                    }
                }
                Call::Done { thread, well } => {
                    if let Some(event) = under_way.remove(&thread).filter(|_| well) {
                        journal.reach(event, Moment::After);
                    }
                }
            }
        }
    }
}

/// Tells apart what has the same path in every change: a directory is named with what was changed in
/// it, and the test whether a record could be written, which every round of questions makes, as such.
#[derive(Debug, Default)]
struct Names {
    changed: HashMap<i32, String>,
}

/// What is written to see whether a record could be.
const TEST: &[u8] = b"{}\n";

impl Names {
    fn of(&mut self, call: &str, thread: i32, path: &Path, below: &str) -> String {
        if call.contains("sync") && path.is_dir() {
            let changed = self.changed.remove(&thread).unwrap_or_default();
            return format!("{below}/ after {changed}");
        }
        let is_test =
            !below.ends_with(".probe") && fs::read(path).is_ok_and(|content| content == TEST);
        let name = if is_test { format!("{below} of .probe") } else { below.to_owned() };
        self.changed.insert(thread, name.clone());
        name
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Call {
    Begun { thread: i32, call: String, path: PathBuf },
    Done { thread: i32, well: bool },
}

/// Reads what strace writes. It writes a call when it begins, and its result at the end of the line
/// or, when something came between, on a line of its own.
#[derive(Debug, Default)]
struct Calls {
    held: String,
    begun: bool,
}

impl Calls {
    fn read(&mut self, piece: &str) -> Vec<Call> {
        self.held.push_str(piece);
        let mut calls = Vec::new();
        loop {
            let end = self.held.find('\n');
            let line = self.held[..end.unwrap_or(self.held.len())].to_owned();
            if !self.begun
                && let Some(call) = begun(&line)
            {
                calls.push(call);
                self.begun = true;
            }
            let Some(end) = end else { return calls };
            calls.extend(done(&line));
            self.held.drain(..=end);
            self.begun = false;
        }
    }
}

fn begun(line: &str) -> Option<Call> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, arguments) = rest.trim_start().split_once('(')?;
    if call.starts_with('<') || !call.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let path = if call.contains("sync") {
        arguments.split_once('<')?.1.split_once('>')?.0
    } else {
        let names = if call.starts_with("unlink") { 1 } else { 2 };
        let mut quoted = arguments.split('"').skip(1).step_by(2);
        // The last of them counts only once its closing quote is there.
        (arguments.matches('"').count() >= 2 * names).then(|| quoted.nth(names - 1)).flatten()?
    };
    let call = call.trim_end_matches("at2").trim_end_matches("at").to_owned();
    Some(Call::Begun { thread: thread.parse().ok()?, call, path: path.into() })
}

fn done(line: &str) -> Option<Call> {
    let (thread, _) = line.split_once(' ')?;
    if line.contains("<unfinished") {
        return None;
    }
    let (_, result) = line.rsplit_once(" = ")?;
    Some(Call::Done { thread: thread.parse().ok()?, well: result.starts_with('0') })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "7 fsync(3</s/jobs/.tmpA>) = 0\n\
        7 rename(\"/s/jobs/.tmpA\", \"/s/jobs/a.json\" <unfinished ...>\n\
        8 unlink(\"/s/b\") = -1 ENOENT (No such file or directory)\n\
        7 <... rename resumed>) = 0 (DELAYED)\n\
        7 linkat(AT_FDCWD</>, \"/s/x\", AT_FDCWD</>, \"/s/y\", 0) = ?\n";

    fn begun(thread: i32, call: &str, path: &str) -> Call {
        Call::Begun { thread, call: call.to_owned(), path: path.into() }
    }

    #[test]
    fn calls_are_read_wherever_the_pieces_are_cut() {
        let expected = [
            begun(7, "fsync", "/s/jobs/.tmpA"),
            Call::Done { thread: 7, well: true },
            begun(7, "rename", "/s/jobs/a.json"),
            begun(8, "unlink", "/s/b"),
            Call::Done { thread: 8, well: false },
            Call::Done { thread: 7, well: true },
            begun(7, "link", "/s/y"),
            Call::Done { thread: 7, well: false },
        ];
        for at in 0..TEXT.len() {
            let mut calls = Calls::default();
            let mut read = calls.read(&TEXT[..at]);
            read.extend(calls.read(&TEXT[at..]));
            assert_eq!(read, expected, "cut at {at}");
        }
    }

    #[test]
    fn a_call_is_told_before_it_has_ended() {
        let mut calls = Calls::default();
        let text = "7 rename(\"/s/jobs/.tmpA\", \"/s/jobs/a.json\"";
        assert_eq!(calls.read(text), [begun(7, "rename", "/s/jobs/a.json")]);
        assert_eq!(calls.read(") = ?\n"), [Call::Done { thread: 7, well: false }]);
    }
}
