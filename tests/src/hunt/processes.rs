//! A look at the environment and the arguments of every process of the machine, again and again.
//! The processes in containers are among them: the kernel shows them to their host.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::hit::Place;
use super::pattern::{Match, Matcher};

/// Between two looks.
const STEP: Duration = Duration::from_millis(10);

/// The files of a process that are looked at.
const FILES: [(Place, &str); 2] = [(Place::Arguments, "cmdline"), (Place::Environment, "environ")];

/// Looks until it is asked what it saw.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Place, a name for the process, what was found.
    pub(super) found: BTreeSet<(Place, String, Match)>,
    /// Files that were read.
    pub(super) read: u64,
    /// Looks at all processes.
    pub(super) looks: u64,
}

impl Watch {
    pub(super) fn start(matcher: Arc<Matcher>) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                look(&matcher, &mut seen);
                std::thread::sleep(STEP);
            }
            seen
        });
        Self { stop, thread: Some(thread) }
    }

    pub(super) fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was not joined").join().expect("a look at processes")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn look(matcher: &Matcher, seen: &mut Seen) {
    seen.looks += 1;
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for (place, file) in FILES {
            // A process may end at any time.
            let Ok(content) = fs::read(entry.path().join(file)) else { continue };
            seen.read += 1;
            let (found, _) = matcher.search(content.as_slice()).expect("memory can be read");
            for one in found {
                let program = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                seen.found.insert((place, format!("{} ({file})", program.trim()), one));
            }
        }
    }
}
