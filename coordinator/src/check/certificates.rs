//! The certificates of `EXTRA_CA_FILE`: whether they hold, and what mends a connection that TLS refused.
//! Our own programs take a root whose time is over; git, curl and most CLIs do not.

use api_client::tls::ExtraRoots;

use super::finding::Finding;
use crate::github_app::seconds_of;

const WHAT: &str = "EXTRA_CA_FILE";

/// A certificate that ends sooner is said to, in seconds: two weeks.
const SOON: u64 = 14 * 24 * 3600;

const CURE: &str = "put the CA's present certificate into that file (docs/networks.md)";

/// One line for all of them; nothing where there are none. `now` in seconds since 1970.
pub(super) fn judge(roots: Option<&ExtraRoots>, now: u64) -> Option<Finding> {
    let ends: Vec<Option<u64>> = roots?.ders().map(end_of).collect();
    Some(judge_ends(&ends, now))
}

fn judge_ends(ends: &[Option<u64>], now: u64) -> Finding {
    let number = |index: Option<usize>| index.map_or(0, |index| index + 1);
    let over = |end: &Option<u64>| end.is_some_and(|end| end <= now);
    let all = ends.len();
    let ended = ends.iter().filter(|end| over(end)).count();
    if ended > 0 {
        let first = number(ends.iter().position(over));
        let found =
            format!("{ended} of {all} certificates have expired, the first is number {first}");
        return if ended == all {
            Finding::failed(WHAT, found, CURE)
        } else {
            Finding::note(WHAT, found, CURE)
        };
    }
    let Some(next) = ends.iter().flatten().min() else {
        return Finding::ok(WHAT, format!("{all} certificates"));
    };
    let days = (next - now) / (24 * 3600);
    let found = format!("{all} certificates; the first expires in {days} days");
    if next - now < SOON { Finding::note(WHAT, found, CURE) } else { Finding::ok(WHAT, found) }
}

/// What mends it, where TLS is why a connection was of no use.
pub(super) fn cure(problem: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| problem.contains(word));
    if says(&["UnknownIssuer", "BadSignature", "bad signature"]) {
        return Some(
            "set EXTRA_CA_FILE to the certificate of the CA that signs here: your own, or that of a proxy \
             that takes TLS apart (docs/networks.md)",
        );
    }
    if says(&["certificate expired", "Expired"]) {
        return Some("have the server's certificate renewed, or set the clock of this host");
    }
    if says(&["NotValidForName", "not valid for name"]) {
        return Some("name it as its certificate does, or have the certificate made for that name");
    }
    if says(&["APP_CLIENT_CERT_FILE"]) {
        return Some("set APP_CLIENT_CERT_FILE and APP_CLIENT_KEY_FILE to what the server knows");
    }
    None
}

/// When a certificate ends, in seconds since 1970: the second time in the fifth or sixth part of its first
/// part (RFC 5280, 4.1).
fn end_of(der: &[u8]) -> Option<u64> {
    let (_, certificate, _) = part(der)?;
    let (_, mut fields, _) = part(certificate)?;
    // Version, which may be left out; number, algorithm, issuer.
    let (tag, _, rest) = part(fields)?;
    let before_validity = if tag == VERSION { 3 } else { 2 };
    fields = rest;
    for _ in 0..before_validity {
        fields = part(fields)?.2;
    }
    let (_, validity, _) = part(fields)?;
    let (_, _, end) = part(validity)?;
    let (tag, text, _) = part(end)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first element of DER: its tag, its content, and what comes after it.
fn part(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let add = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add(usize::from(*byte));
        (length.iter().try_fold(0, add)?, rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// `261121100000Z` or `20261121100000Z`.
fn time(tag: u8, text: &str) -> Option<u64> {
    let full = match tag {
        // 50 and later is of the last century.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let of = |range: std::ops::Range<usize>| full.get(range);
    let (date, clock) = ((of(0..4)?, of(4..6)?, of(6..8)?), (of(8..10)?, of(10..12)?, of(12..14)?));
    seconds_of(&format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn times_of_certificates_are_read_in_both_forms() {
        assert_eq!(time(UTC_TIME, "261121100000Z"), Some(1_795_255_200));
        assert_eq!(time(GENERALIZED_TIME, "20261121100000Z"), Some(1_795_255_200));
        assert_eq!(time(UTC_TIME, "26"), None);
    }

    #[test]
    fn a_root_whose_time_is_over_fails_unless_there_are_others() {
        let state = |ends: &[Option<u64>]| judge_ends(ends, 1_000).state;
        assert_eq!(state(&[Some(999)]), State::Failed);
        assert_eq!(state(&[Some(999), Some(u64::MAX)]), State::Note);
        assert_eq!(state(&[Some(1_000 + SOON - 1)]), State::Note);
        assert_eq!(state(&[Some(1_000 + SOON), None]), State::Ok);
    }

    #[test]
    fn the_end_is_found_behind_what_comes_before_it() {
        let element = |tag: u8, content: &[u8]| {
            let mut der = vec![tag, 0x82, 0, u8::try_from(content.len()).unwrap()];
            der.extend(content);
            der
        };
        let validity = [element(UTC_TIME, b"200101000000Z"), element(UTC_TIME, b"261121100000Z")];
        for version in [Some(element(VERSION, &[2, 1, 2])), None] {
            let mut fields = version.unwrap_or_default();
            for other in [0x02, 0x30, 0x30] {
                fields.extend(element(other, &[1]));
            }
            fields.extend(element(0x30, &validity.concat()));
            let der = element(0x30, &element(0x30, &fields));
            assert_eq!(end_of(&der), Some(1_795_255_200));
        }
        assert_eq!(end_of(b"no certificate"), None);
    }

    #[test]
    fn what_tls_refuses_has_a_cure() {
        assert!(cure("invalid peer certificate: UnknownIssuer").unwrap().contains("EXTRA_CA_FILE"));
        assert!(cure("invalid peer certificate: certificate expired").unwrap().contains("clock"));
        assert_eq!(cure("connection refused"), None);
    }
}
