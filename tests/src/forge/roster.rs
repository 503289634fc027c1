//! The labels and the people that every repository of the test forge knows.

/// The labels; their ids are their places, from 1.
pub const LABELS: [&str; 2] = ["agent", "needs review"];
/// Who can be asked for a review; their ids are their places, from 1.
pub const PEOPLE: [&str; 2] = ["ann", "bob"];

/// The id of a label or a person.
pub(super) fn id(all: &[&str], name: &str) -> Option<u64> {
    let place = all.iter().position(|known| *known == name)?;
    u64::try_from(place + 1).ok()
}

/// The label or the person with an id.
pub(super) fn name<'a>(all: &[&'a str], id: u64) -> Option<&'a str> {
    all.get(usize::try_from(id).ok()?.checked_sub(1)?).copied()
}
