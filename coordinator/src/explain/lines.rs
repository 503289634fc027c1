//! Which lines of a log tell most about an end. Pure.

/// How many lines at the end are shown.
const LAST: usize = 8;

/// How many earlier lines that speak of trouble are shown.
const EARLIER: usize = 6;

/// Longest line, in characters.
const LINE_MAX_CHARS: usize = 200;

/// Words of lines that speak of trouble.
const TROUBLE: [&str; 12] = [
    "error",
    "fatal",
    "panicked",
    "denied",
    "refused",
    "failed",
    "no space",
    "cannot",
    "killed",
    "timed out",
    "unauthorized",
    "out of memory",
];

/// Stands for lines that are left out.
const GAP: &str = "…";

/// The last lines of a text, and those before them that speak of trouble.
pub(super) fn that_matter(text: &str) -> Vec<String> {
    let lines: Vec<String> =
        text.lines().map(plain).filter(|line| !line.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(LAST);
    let speaks = |at: &usize| {
        let line = lines[*at].to_lowercase();
        TROUBLE.iter().any(|word| line.contains(word))
    };
    let mut chosen: Vec<usize> = (0..last).rev().filter(speaks).take(EARLIER).collect();
    chosen.reverse();
    chosen.extend(last..lines.len());
    let mut shown = Vec::new();
    let mut next = 0;
    for at in chosen {
        if at != next && !shown.is_empty() {
            shown.push(GAP.to_owned());
        }
        shown.push(lines[at].chars().take(LINE_MAX_CHARS).collect());
        next = at + 1;
    }
    shown
}

/// A line without what a terminal would obey: agents print what they like.
pub(crate) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                // To the letter that ends it.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
        } else if c == '\t' || !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_and_earlier_trouble_are_chosen_in_their_order() {
        let mut text = String::from("begin\nERROR: the key is wrong\n\n");
        for number in 0..20 {
            text.push_str(&format!("line {number}\n"));
        }
        let chosen = that_matter(&text);
        assert_eq!(chosen[..3], ["ERROR: the key is wrong", "…", "line 12"]);
        assert_eq!(chosen.len(), 2 + LAST);
        assert!(that_matter("").is_empty());
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(plain("\u{1b}[31;1mred\u{1b}[0m\u{7} and\tmore\r"), "red and\tmore");
        assert_eq!(plain("\u{1b}]0;title\u{7}x\u{1b}["), "]0;titlex");
    }
}
