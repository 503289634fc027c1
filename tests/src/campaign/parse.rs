//! Courses as they are told, read again: what failed can be repeated by its own line.

use std::str::FromStr;

use super::course::{Course, Kill, Origin};
use super::point::{EventName, Moment, Point, Side};
use super::scenario::Setting;

impl FromStr for Course {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, kills) = text.split_once(": ").ok_or("a course has a colon before its kills")?;
        let mut words = head.split_whitespace();
        let setting: Setting = words.next().unwrap_or_default().parse()?;
        let mut course = Self::recording(setting, Side::Engine);
        course.kills = kills.split("; ").map(kill).collect::<Result<_, _>>()?;
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word}: no value"))?;
            let number: u64 = value.parse().map_err(|_| format!("{word}: no number"))?;
            let size = usize::try_from(number).map_err(|_| format!("{word}: too large"))?;
            match name {
                "k" => course.origin = Origin::Listed(size),
                "seed" => course.origin = Origin::Drawn(number),
                "jobs" => course.jobs = size,
                "slots" => course.slots = size,
                _ => return Err(format!("{word}: there are k, seed, jobs and slots")),
            }
        }
        Ok(course)
    }
}

fn kill(text: &str) -> Result<Kill, String> {
    if text == Kill::AgentsAtWork.to_string() {
        return Ok(Kill::AgentsAtWork);
    }
    let unknown = || format!("no kill: {text}");
    let (event, moment) = text.rsplit_once(' ').ok_or_else(unknown)?;
    let moment = Moment::ALL.into_iter().find(|it| it.to_string() == moment).ok_or_else(unknown)?;
    if let Some(number) = event.strip_prefix("event ") {
        return Ok(Kill::Event(number.parse().map_err(|_| unknown())?, moment));
    }
    let (name, nth) = event.rsplit_once(" #").ok_or_else(unknown)?;
    let (side, what) = name.split_once(' ').ok_or_else(unknown)?;
    let side = Side::ALL.into_iter().find(|it| it.to_string() == side).ok_or_else(unknown)?;
    let name = EventName { side, what: what.to_owned() };
    Ok(Kill::At(Point { name, nth: nth.parse().map_err(|_| unknown())?, moment }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_read_as_it_was_told() {
        for text in [
            "ours/completes k=37: engine POST /containers/terarchitect-{}/start #2 unanswered",
            "original/host-adopted k=0: agents at work; disk fsync jobs/ after jobs/{}.json #1 before",
            "ours/two seed=18446744073709551615 jobs=3 slots=1: event 17 sent; event 0 after",
        ] {
            assert_eq!(text.parse::<Course>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_course_is_refused_with_what_is_wrong() {
        for (text, problem) in [
            ("ours/two", "colon"),
            ("mine/two: event 1 sent", "no such scene"),
            ("ours/two x=1: event 1 sent", "x=1"),
            ("ours/two: event 1 soon", "event 1 soon"),
        ] {
            let error = text.parse::<Course>().unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
