//! Which courses a campaign takes: all points of the recordings, a fair choice of them, or drawn at
//! random. Pure.

use fastrand::Rng;

use super::course::{Course, Kill, Origin};
use super::journal::Event;
use super::point::{EventName, Moment, Point, Side};
use super::scenario::Setting;

/// What a scenario does when no one kills it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The scenario, and the app.
    pub setting: Setting,
    /// Its points, in the order of its events.
    pub points: Vec<Point>,
    /// How many requests there were.
    requests: usize,
}

/// So many rounds of questions for a job are looked at: the one that brings it, and one that does
/// not.
const ROUNDS: usize = 2;

/// Random courses kill so often at most.
const KILLS_MAX: usize = 3;

/// Random courses have so many jobs at most.
const JOBS_MAX: usize = 3;

impl Record {
    /// The points of these events; of changes in the state directory, those that were made.
    pub(super) fn of(setting: Setting, events: &[Event]) -> Self {
        let mut points = Vec::new();
        let mut idle = false;
        for event in events {
            let empty = event.name.is_claim() && event.status == Some(204);
            let again = empty && std::mem::replace(&mut idle, empty);
            let again = again || (event.name.is_of_every_round() && event.nth > ROUNDS);
            let undone = event.name.side == Side::Disk && event.moment != Moment::After;
            if again || undone {
                continue;
            }
            points.extend(event.name.moments().iter().map(|moment| Point {
                name: event.name.clone(),
                nth: event.nth,
                moment: *moment,
            }));
        }
        let requests = events.iter().filter(|event| event.name.side != Side::Disk).count();
        Self { setting, points, requests }
    }

    /// How many kinds of events it has.
    pub fn events(&self) -> usize {
        let mut events: Vec<(&EventName, usize)> =
            self.points.iter().map(|point| (&point.name, point.nth)).collect();
        events.dedup();
        events.len()
    }
}

/// Courses that tell which points there are, those of the state directory only if they can be seen.
/// The recordings of one scenario follow one another.
pub fn recordings(settings: &[Setting], sides: &[Side]) -> Vec<Course> {
    let of_setting = |setting: &Setting| {
        sides.iter().map(|side| Course::recording(*setting, *side)).collect::<Vec<_>>()
    };
    settings.iter().flat_map(of_setting).collect()
}

/// The recordings in the order of their scenarios, those of one scenario together.
pub fn merged(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| (record.setting, record.requests == 0));
    let mut merged: Vec<Record> = Vec::new();
    for record in records {
        match merged.last_mut().filter(|last| last.setting == record.setting) {
            Some(last) => last.points.extend(record.points),
            None => merged.push(record),
        }
    }
    merged
}

/// A course for each point of these recordings.
pub fn every_point(records: &[Record]) -> Vec<Course> {
    let of_record = |record: &Record| -> Vec<Course> {
        let points = record.points.iter().cloned().enumerate();
        points.map(|(k, point)| Course::killed_at(record.setting, point, k)).collect()
    };
    records.iter().flat_map(of_record).collect()
}

/// So many of these, evenly spread over their order, which is that of scenarios and events.
pub fn spread(courses: Vec<Course>, count: usize) -> Vec<Course> {
    let all = courses.len();
    if count >= all {
        return courses;
    }
    let chosen = |index: usize| (index + 1) * count / all > index * count / all;
    courses.into_iter().enumerate().filter(|(index, _)| chosen(*index)).map(|(_, it)| it).collect()
}

/// Courses with kills, numbers of jobs and slots drawn at random: one for each seed from `seed` on.
pub fn random_courses(records: &[Record], rounds: usize, seed: u64) -> Vec<Course> {
    let seeds = (0..rounds as u64).map(|round| seed.wrapping_add(round));
    seeds.map(|seed| random_course(records, seed)).collect()
}

fn random_course(records: &[Record], seed: u64) -> Course {
    let mut rng = Rng::with_seed(seed);
    let record = &records[rng.usize(..records.len())];
    let setting = record.setting;
    let jobs = rng.usize(1..=JOBS_MAX).max(setting.scenario.jobs());
    let mut kills: Vec<_> = setting.scenario.first_kill().into_iter().collect();
    let mut slots = rng.usize(1..=jobs + 1);
    if kills.contains(&Kill::AgentsAtWork) {
        // One stays free: a question for a job is what lets the agents go on.
        slots = jobs + 1;
    }
    for _ in 0..rng.usize(1..=KILLS_MAX) {
        kills.push(random_kill(&mut rng, record, jobs));
    }
    Course { setting, jobs, slots, kills, origin: Origin::Drawn(seed) }
}

fn random_kill(rng: &mut Rng, record: &Record, jobs: usize) -> Kill {
    let changes: Vec<&Point> =
        record.points.iter().filter(|point| point.name.side == Side::Disk).collect();
    if !changes.is_empty() && rng.u8(..4) == 0 {
        return Kill::At(changes[rng.usize(..changes.len())].clone());
    }
    let moments = [Moment::Before, Moment::Sent, Moment::Unanswered, Moment::After];
    let event = rng.usize(..record.requests.max(1) * jobs / record.setting.scenario.jobs());
    Kill::Event(event, moments[rng.usize(..moments.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::scenario::{Dialect, Scenario};

    fn record() -> Record {
        let setting = Setting { dialect: Dialect::Ours, scenario: Scenario::Completes };
        let point = |nth| Point {
            name: EventName::of_request(Side::Engine, "GET", "/_ping"),
            nth,
            moment: Moment::Before,
        };
        Record { setting, points: (1..=100).map(point).collect(), requests: 25 }
    }

    #[test]
    fn a_choice_has_the_size_asked_for_and_leaves_no_wide_gap() {
        for count in [1, 7, 50, 99, 100, 200] {
            let chosen = spread(every_point(&[record()]), count);
            assert_eq!(chosen.len(), count.min(100), "{count}");
            let numbers: Vec<usize> = chosen
                .iter()
                .map(|course| match course.origin {
                    Origin::Listed(number) => number,
                    Origin::Recording(_) | Origin::Drawn(_) => unreachable!(),
                })
                .collect();
            let widest = numbers.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            assert!(widest <= 100usize.div_ceil(count), "{count}: {widest}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_course() {
        let records = [record()];
        let rounds = random_courses(&records, 20, 7);
        assert_eq!(random_courses(&records, 1, 7 + 19)[0], rounds[19]);
        assert!(rounds.windows(2).any(|pair| pair[0].kills != pair[1].kills));
    }
}
