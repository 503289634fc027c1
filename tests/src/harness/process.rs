//! What the kernel tells of a process: memory, processor time, arguments.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ticks of processor time in a second: the same on every Linux machine, for programs.
const TICKS: u64 = 100;

/// Between two looks at all processes.
const LOOK: Duration = Duration::from_millis(2);

/// Resident memory of a process, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub now: u64,
    /// At most since it started.
    pub peak: u64,
}

/// The memory of a running process.
pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.unwrap_or_else(|| panic!("no {name} in {status}"))
    };
    Memory { now: field("VmRSS:"), peak: field("VmHWM:") }
}

/// Processor time that a running process has used, in user and in kernel mode.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name before it may hold anything, a parenthesis as well.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>());
    let ticks: u64 = ticks.map(|ticks| ticks.expect("a number of ticks")).sum();
    Duration::from_millis(ticks * 1_000 / TICKS)
}

/// Looks at the arguments of all processes of the machine, again and again, for words that must
/// not be there.
#[derive(Debug)]
pub struct ArgvWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Looks>>,
}

#[derive(Debug, Default)]
struct Looks {
    count: usize,
    found: BTreeSet<String>,
}

impl ArgvWatch {
    /// Looks for these words from now on.
    pub fn start(words: &[&str]) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut looks = Looks::default();
            while !stopped.load(Ordering::Relaxed) {
                looks.count += 1;
                looks.found.extend(arguments_with(&words));
                std::thread::sleep(LOOK);
            }
            looks
        });
        Self { stop, thread: Some(thread) }
    }

    /// The command lines in which one of the words was seen.
    pub fn found(mut self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        let looks = self.thread.take().expect("a thread").join().expect("a look at processes");
        assert!(looks.count > 1, "the processes were not looked at");
        looks.found
    }
}

impl Drop for ArgvWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn arguments_with(words: &[String]) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let lines = processes.filter_map(|entry| {
        let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| words.iter().any(|word| line.contains(word.as_str()))).collect()
}
