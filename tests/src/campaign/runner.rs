//! Takes scenes through their courses, several at a time.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::agents::Agents;
use super::course::{Course, Origin};
use super::evidence::Evidence;
use super::journal::Journal;
use super::plan::Record;
use super::point::{Moment, Point, Side};
use super::scenario::Setting;
use super::scene::{Life, Scene};
use super::verdict::{Tally, Verdict, judge};
use crate::harness::{Coordinator, Engine, Starts};

/// What all scenes share: the engine, and the place where agents report.
#[derive(Debug)]
pub struct Campaign {
    starts: Starts,
    agents: Arc<Agents>,
    keep: PathBuf,
    kept: AtomicUsize,
}

/// A course that was taken.
#[derive(Debug)]
pub struct Taken {
    /// How it went.
    pub verdict: Verdict,
    /// Which events there were, if the course was to tell.
    pub record: Option<Record>,
}

/// How a course went, before it was judged.
struct Run {
    scene: Scene,
    /// Where the coordinator was killed.
    killed: Vec<(usize, Point)>,
    problem: Option<String>,
}

impl Campaign {
    /// A campaign that keeps the logs of what fails in a folder.
    pub async fn new(engine: &Engine, keep: PathBuf) -> Self {
        let starts = Starts::watch(engine);
        let agents = Arc::new(Agents::expect().await);
        Self { starts, agents, keep, kept: AtomicUsize::new(0) }
    }

    /// Takes all courses, so many at once, and tells of each as it ends. Told to stop, it begins no
    /// more of them, so that nothing is left behind.
    pub async fn take(
        self: &Arc<Self>,
        courses: Vec<Course>,
        at_once: usize,
        stop: &CancellationToken,
        mut tell: impl FnMut(Taken),
    ) {
        let mut scenes = JoinSet::new();
        for course in courses {
            if stop.is_cancelled() {
                break;
            }
            if scenes.len() >= at_once
                && let Some(ended) = scenes.join_next().await
            {
                tell(ended.expect("it catches panics"));
            }
            let campaign = Arc::clone(self);
            scenes.spawn(async move { campaign.take_one(course).await });
        }
        while let Some(ended) = scenes.join_next().await {
            tell(ended.expect("it catches panics"));
        }
    }

    /// Takes a course on a thread of its own: what blocks there holds up no other scene. A scene
    /// that panics was not judged; its jobs count as lost.
    async fn take_one(self: Arc<Self>, course: Course) -> Taken {
        let (campaign, taken) = (Arc::clone(&self), course.clone());
        let scene = tokio::task::spawn_blocking(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(campaign.play(taken))
        });
        scene.await.unwrap_or_else(|error| {
            let tally = Tally { jobs: course.jobs, lost: course.jobs, ..Tally::default() };
            let problems = vec![format!("lost: the campaign could not tell: {error}")];
            let verdict = Verdict { course: course.to_string(), tally, problems, kept: None };
            Taken { verdict, record: None }
        })
    }

    async fn play(&self, course: Course) -> Taken {
        // A client belongs to the runtime that it was made in.
        let engine = Engine::or_skip().await.expect("it was there before");
        let mut run = self.run(&course).await;
        let record = match course.origin {
            Origin::Recording(side) => Some(record(course.setting, side, &run.scene.journal)),
            Origin::Listed(_) | Origin::Drawn(_) => None,
        };
        let evidence = Evidence::gather(&mut run.scene, &engine, &self.starts).await;
        Taken { verdict: self.judge(&course, &run, &evidence), record }
    }

    async fn run(&self, course: &Course) -> Run {
        let scene = Scene::new(course.clone(), Arc::clone(&self.agents)).await;
        let mut run = Run { scene, killed: Vec::new(), problem: None };
        for life in 1.. {
            match run.scene.live().await {
                Life::Killed(point) => run.killed.extend(point.map(|point| (life, point))),
                Life::Quiet(coordinator) => {
                    run.problem = stop(coordinator).await;
                    break;
                }
                Life::Stuck(problem) => {
                    run.problem = Some(problem);
                    break;
                }
            }
        }
        run
    }

    fn judge(&self, course: &Course, run: &Run, evidence: &Evidence) -> Verdict {
        let (mut tally, mut problems) =
            judge(course.setting, run.scene.journal.creation(), evidence);
        if let Some(problem) = &run.problem {
            tally.lost = tally.lost.max(1);
            problems.insert(0, problem.clone());
        }
        let killed = run.killed.iter().filter(|(life, point)| {
            *life > course.preparing() && !is_late(&run.scene, *life, point)
        });
        tally.points = killed.count();
        tally.missed = course.kills.len() - course.preparing() - tally.points;
        let kept = (!problems.is_empty()).then(|| self.keep(course, run));
        Verdict { course: course.to_string(), tally, problems, kept }
    }

    /// Keeps what a scene wrote, and what was seen of it.
    fn keep(&self, course: &Course, run: &Run) -> PathBuf {
        let number = self.kept.fetch_add(1, Ordering::Relaxed);
        let folder = self.keep.join(number.to_string());
        for (path, content) in run.scene.home.files() {
            let path = folder.join(path.strip_prefix(run.scene.home.dir()).expect("it is below"));
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
            fs::write(path, content).expect("a file in a folder of ours");
        }
        let mut text = format!("{course}\n");
        for (life, point) in &run.killed {
            writeln!(text, "killed in life {life}: {point}").expect("memory takes it");
        }
        for event in run.scene.journal.all_events() {
            let status = event.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            writeln!(
                text,
                "{:8.3} life {} {} #{} {} {status} {}",
                event.at, event.life, event.name, event.nth, event.moment, event.path
            )
            .expect("memory takes it");
        }
        fs::write(folder.join("events.txt"), text).expect("a file in a folder of ours");
        folder
    }
}

/// What was seen of one side in the last life; requests to the engine stand for those to the app
/// too.
fn record(setting: Setting, side: Side, journal: &Journal) -> Record {
    let disk = side == Side::Disk;
    let events = journal.events(journal.life()).into_iter();
    let seen: Vec<_> = events.filter(|event| (event.name.side == Side::Disk) == disk).collect();
    Record::of(setting, &seen)
}

/// Whether a change that the kill was to prevent was made all the same: the kill came late.
fn is_late(scene: &Scene, life: usize, point: &Point) -> bool {
    let events = scene.journal.events(life);
    let mut killed_at = events.iter().filter(|it| it.name == point.name && it.nth == point.nth);
    point.name.side == Side::Disk
        && point.moment == Moment::Before
        && killed_at.any(|event| event.moment == Moment::After)
}

/// Ends the last coordinator in order; tells what is wrong with that.
async fn stop(mut coordinator: Coordinator) -> Option<String> {
    coordinator.signal(Signal::SIGTERM);
    let status = coordinator.wait().await;
    (!status.success()).then(|| format!("the coordinator did not stop well: {status}"))
}
