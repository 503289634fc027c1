//! What is to happen in one scene: the kills, in their order.

use std::fmt;

use super::journal::Trap;
use super::point::{Moment, Point, Side};
use super::scenario::Setting;

/// The end of a life of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kill {
    /// When the agents of all jobs have begun; they wait until a later life asks for jobs.
    AgentsAtWork,
    /// At this point.
    At(Point),
    /// At this event of the life, whichever it is, counted from 0.
    Event(usize, Moment),
}

/// The course of one scene. After the last kill the coordinator is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The scenario, and the app.
    pub setting: Setting,
    /// How many jobs there are.
    pub jobs: usize,
    /// How many may run at once.
    pub slots: usize,
    /// How each life but the last ends.
    pub kills: Vec<Kill>,
    /// Where the point stands among those of its scenario; or the seed of a random course.
    pub origin: Origin,
}

/// Where a course comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No kill of interest: it tells which events there are.
    Recording(Side),
    /// This one of the points of its scenario, from 0.
    Listed(usize),
    /// Drawn with this seed.
    Drawn(u64),
}

impl Course {
    /// The scenario as it is, without a kill but those that belong to it. Changes of the state
    /// directory are seen only where they are asked for.
    pub(super) fn recording(setting: Setting, side: Side) -> Self {
        let kills = setting.scenario.first_kill().into_iter().collect();
        let jobs = setting.scenario.jobs();
        Self { setting, jobs, slots: jobs + 1, kills, origin: Origin::Recording(side) }
    }

    /// The scenario, killed at a point of its last life.
    pub(super) fn killed_at(setting: Setting, point: Point, number: usize) -> Self {
        let mut course = Self::recording(setting, point.name.side);
        course.kills.push(Kill::At(point));
        course.origin = Origin::Listed(number);
        course
    }

    /// Whether a life, from 1, is to show its changes of the state directory.
    pub(super) fn traced(&self, life: usize) -> bool {
        match self.kills.get(life - 1) {
            Some(Kill::At(point)) => point.name.side == Side::Disk,
            Some(Kill::AgentsAtWork | Kill::Event(..)) => false,
            None => self.origin == Origin::Recording(Side::Disk) && life == self.lives(),
        }
    }

    /// How many lives it takes.
    pub(super) fn lives(&self) -> usize {
        self.kills.len() + 1
    }

    /// How many kills there are that only prepare the others.
    pub(super) fn preparing(&self) -> usize {
        usize::from(self.setting.scenario.first_kill().is_some())
    }
}

impl Kill {
    /// The trap of it, where it has one.
    pub(super) fn trap(&self) -> Option<Trap> {
        match self {
            Self::AgentsAtWork => None,
            Self::At(point) => Some(Trap::At(point.clone())),
            Self::Event(number, moment) => Some(Trap::Event(*number, *moment)),
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentsAtWork => f.write_str("agents at work"),
            Self::At(point) => point.fmt(f),
            Self::Event(number, moment) => write!(f, "event {number} {moment}"),
        }
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.setting)?;
        match self.origin {
            Origin::Recording(_) => write!(f, " recording")?,
            Origin::Listed(number) => write!(f, " k={number}")?,
            Origin::Drawn(seed) => {
                write!(f, " seed={seed} jobs={} slots={}", self.jobs, self.slots)?;
            }
        }
        for (number, kill) in self.kills.iter().enumerate() {
            let mark = if number == 0 { ':' } else { ';' };
            write!(f, "{mark} {kill}")?;
        }
        Ok(())
    }
}
