//! `crash-campaign`: kills the real coordinator at every point of a job's way, starts it again, and
//! checks that every job has exactly one outcome and that nothing was left.
//!
//! Run it by `tests/crash-campaign`. Its last line is the count; it fails unless nothing was lost,
//! doubled or left.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "what it prints is its purpose")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use integration_tests::campaign::{
    Campaign, Course, Record, Setting, Side, Tally, Verdict, every_point, merged, random_courses,
    recordings, spread, tracer_missing,
};
use integration_tests::harness::Engine;
use integration_tests::server::stop_signal;
use tokio_util::sync::CancellationToken;

/// Kills the coordinator at every point of a job's way, and checks what became of the job.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only so many points, evenly spread over scenes and events.
    #[arg(long)]
    points: Option<usize>,
    /// Instead of every point once: so many scenes with kills (up to three), jobs and slots drawn at
    /// random.
    #[arg(long)]
    rounds: Option<usize>,
    /// The seed of the first of those rounds; the next one has the next seed. Drawn if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these scenes; all if not given.
    #[arg(long = "scene", value_name = "APP/SCENARIO")]
    scenes: Vec<Setting>,
    /// Only points whose name contains this, as they are listed.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Only this course, as a line that told of it has it.
    #[arg(long = "repeat", value_name = "COURSE", conflicts_with_all = ["points", "rounds", "only"])]
    repeated: Vec<Course>,
    /// Every course this often.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Lists the points, and kills at none.
    #[arg(long)]
    list: bool,
    /// How many scenes there are at once.
    #[arg(long, default_value_t = 8)]
    at_once: usize,
    /// Fails where changes of the state directory cannot be seen, instead of leaving them out.
    #[arg(long)]
    need_strace: bool,
    /// Where the logs of what fails are kept.
    #[arg(long, default_value = "target/crash-campaign")]
    keep: PathBuf,
}

/// Between two lines that tell how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return ExitCode::SUCCESS };
    let sides: &[Side] = match tracer_missing() {
        None => &[Side::Engine, Side::Disk],
        Some(problem) => {
            println!("changes of the state directory are left out: {problem}");
            if arguments.need_strace {
                return ExitCode::FAILURE;
            }
            &[Side::Engine]
        }
    };
    let keep = arguments.keep.join(std::process::id().to_string());
    let campaign = Arc::new(Campaign::new(&engine, keep).await);
    let mut account = Account::new();
    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_at_signal(stop.clone()));
    let courses = if arguments.repeated.is_empty() {
        let records = record(&campaign, &arguments, sides, &stop, &mut account).await;
        choose(&arguments, &records)
    } else {
        arguments.repeated.clone()
    };
    let courses = vec![courses; arguments.times].concat();
    if arguments.list {
        for course in courses {
            println!("{course}");
        }
        return account.exit_code();
    }
    account.planned = courses.len();
    campaign.take(courses, arguments.at_once, &stop, |taken| account.take(&taken.verdict)).await;
    signals.abort();
    if stop.is_cancelled() {
        account.close();
        return ExitCode::FAILURE;
    }
    account.close()
}

/// Lets the scenes of now end at the first signal; a second one ends all at once.
async fn stop_at_signal(stop: CancellationToken) {
    for _ in 0..2 {
        if let Err(error) = stop_signal().await {
            eprintln!("signals are not seen: {error}");
            return;
        }
        if stop.is_cancelled() {
            std::process::abort();
        }
        eprintln!(
            "the scenes of now are ended; once more ends all at once and leaves what there is"
        );
        stop.cancel();
    }
}

/// Records every scene once, and once more with the changes of its state directory.
async fn record(
    campaign: &Arc<Campaign>,
    arguments: &Arguments,
    sides: &[Side],
    stop: &CancellationToken,
    account: &mut Account,
) -> Vec<Record> {
    let chosen =
        |setting: &Setting| arguments.scenes.is_empty() || arguments.scenes.contains(setting);
    let settings: Vec<_> = Setting::all().filter(chosen).collect();
    let mut records = Vec::new();
    let courses = recordings(&settings, sides);
    campaign
        .take(courses, arguments.at_once, stop, |taken| {
            account.check(&taken.verdict);
            records.extend(taken.record);
        })
        .await;
    let records = merged(records);
    for record in &records {
        println!("{}: {} events, {} points", record.setting, record.events(), record.points.len());
    }
    records
}

fn choose(arguments: &Arguments, records: &[Record]) -> Vec<Course> {
    if let Some(rounds) = arguments.rounds {
        let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
        println!("{rounds} rounds from --seed {seed}");
        return random_courses(records, rounds, seed);
    }
    let mut courses = every_point(records);
    if let Some(text) = &arguments.only {
        courses.retain(|course| course.to_string().contains(text));
    }
    match arguments.points {
        Some(points) => spread(courses, points),
        None => courses,
    }
}

/// Counts, and tells how far it is.
struct Account {
    begun: Instant,
    told: Instant,
    planned: usize,
    taken: usize,
    tally: Tally,
    failed: BTreeSet<String>,
}

impl Account {
    fn new() -> Self {
        let now = Instant::now();
        let (tally, failed) = (Tally::default(), BTreeSet::new());
        Self { begun: now, told: now, planned: 0, taken: 0, tally, failed }
    }

    /// Takes the verdict of a recording: no point, but its jobs count.
    fn check(&mut self, verdict: &Verdict) {
        self.tally += verdict.tally;
        self.tell(verdict);
    }

    fn take(&mut self, verdict: &Verdict) {
        self.check(verdict);
        self.taken += 1;
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            self.progress();
        }
    }

    fn tell(&mut self, verdict: &Verdict) {
        for problem in &verdict.problems {
            println!("FAIL  {} | {problem}", verdict.course);
        }
        if verdict.tally.missed > 0 {
            println!("MISS  {}", verdict.course);
        }
        if let Some(kept) = &verdict.kept {
            println!("      logs: {}; again: --repeat '{}'", kept.display(), verdict.course);
        }
        if !verdict.problems.is_empty() {
            self.failed.insert(verdict.course.clone());
        }
    }

    fn progress(&self) {
        let (seconds, taken, planned) = (self.begun.elapsed().as_secs(), self.taken, self.planned);
        eprintln!("{seconds:>5} s  {taken} of {planned}  {}", self.tally);
    }

    fn close(self) -> ExitCode {
        self.progress();
        let Tally { missed, not_begun, lost_replies, swept, states, .. } = self.tally;
        println!(
            "{} scenes in {} s, {} failed",
            self.taken,
            self.begun.elapsed().as_secs(),
            self.failed.len()
        );
        println!(
            "kills that did not happen, because the event did not come or had passed: {missed}"
        );
        println!("jobs reported as failed whose agent had never begun: {not_begun}");
        println!(
            "made by the engine after a restart, by a request from before it, then swept: {swept}"
        );
        println!("volumes of state kept for tickets whose agent never ran: {states}");
        println!(
            "allowed: lost claim replies={lost_replies} (the original app knows no claim ids)"
        );
        println!("{}", self.tally);
        self.exit_code()
    }

    fn exit_code(&self) -> ExitCode {
        if self.tally.is_clean() && self.failed.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
