//! The wire form of a question about a name, and of its answer (RFC 1035), as far as a resolver on the
//! same network needs it: one question in, addresses or a code out.
//!
//! Invariant: nothing of a question but its name and type is used, and nothing of it is passed on.

use std::net::IpAddr;

use super::super::host::HostName;

/// How many addresses an answer has at most: as many as fit behind the longest question in the 512 bytes
/// that every resolver takes by UDP.
const ADDRESSES_MAX: usize = 8;
/// How long an answer may be kept, in seconds.
const TTL: u32 = 30;

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const NAME_MAX: usize = 255;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    id: u16,
    recursion_desired: bool,
    /// The question as it came, to be repeated in the answer.
    wire: Vec<u8>,
    /// The name; the text of what is no host's name.
    pub(super) name: Result<HostName, String>,
    /// What is asked about it.
    pub(super) kind: Kind,
}

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its IPv4 addresses.
    A,
    /// Its IPv6 addresses.
    Aaaa,
    /// Something else, by its number.
    Other(u16),
}

/// A message that holds no question for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Not to be answered at all.
    Silence,
    /// To be answered with a code and nothing else.
    Answer {
        /// The message's own number.
        id: u16,
        /// The code.
        code: Code,
    },
}

/// How a question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Answered.
    NoError = 0,
    /// The message cannot be read.
    Malformed = 1,
    /// The answer could not be had.
    Failed = 2,
    /// There is no such name.
    NoSuchName = 3,
    /// Not done here.
    NotImplemented = 4,
}

impl Question {
    /// Reads a message.
    pub(super) fn parse(message: &[u8]) -> Result<Self, Unusable> {
        let Some((header, rest)) = message.split_at_checked(HEADER) else {
            return Err(Unusable::Silence);
        };
        let [id, flags, questions, answers, authorities, _] = words(header);
        // An answer is not answered, or two servers could go on for ever.
        if flags & 0x8000 != 0 {
            return Err(Unusable::Silence);
        }
        let unusable = |code| Unusable::Answer { id, code };
        if flags & 0x7800 != 0 {
            return Err(unusable(Code::NotImplemented));
        }
        if [questions, answers, authorities] != [1, 0, 0] {
            return Err(unusable(Code::Malformed));
        }
        let (labels, end) = labels(rest).ok_or(unusable(Code::Malformed))?;
        let Some(&[kind_high, kind_low, class_high, class_low]) = rest.get(end..end + 4) else {
            return Err(unusable(Code::Malformed));
        };
        if u16::from_be_bytes([class_high, class_low]) != CLASS_IN {
            return Err(unusable(Code::NotImplemented));
        }
        Ok(Self {
            id,
            recursion_desired: flags & 0x0100 != 0,
            wire: rest[..end + 4].to_vec(),
            name: host_name(&labels),
            kind: Kind::from(u16::from_be_bytes([kind_high, kind_low])),
        })
    }

    /// The answer with these addresses, of the kind that was asked for.
    pub(super) fn addresses(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let wanted = addresses.iter().filter(|address| self.kind.is_of(**address));
        let wanted: Vec<IpAddr> = wanted.take(ADDRESSES_MAX).copied().collect();
        let mut message = self.begin(Code::NoError, wanted.len());
        for address in wanted {
            let (kind, bytes) = match address {
                IpAddr::V4(address) => (TYPE_A, address.octets().to_vec()),
                IpAddr::V6(address) => (TYPE_AAAA, address.octets().to_vec()),
            };
            // The name is that of the question, which begins behind the header.
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend(CLASS_IN.to_be_bytes());
            message.extend(TTL.to_be_bytes());
            message.extend([0, if kind == TYPE_A { 4 } else { 16 }]);
            message.extend(bytes);
        }
        message
    }

    /// The answer with a code and no address.
    pub(super) fn code(&self, code: Code) -> Vec<u8> {
        self.begin(code, 0)
    }

    fn begin(&self, code: Code, answers: usize) -> Vec<u8> {
        let mut message = header(self.id, self.recursion_desired, code, 1, answers);
        message.extend(&self.wire);
        message
    }
}

impl Unusable {
    /// What is sent back, if anything.
    pub(super) fn answer(self) -> Option<Vec<u8>> {
        match self {
            Self::Silence => None,
            Self::Answer { id, code } => Some(header(id, false, code, 0, 0)),
        }
    }
}

impl Kind {
    fn is_of(self, address: IpAddr) -> bool {
        match self {
            Self::A => address.is_ipv4(),
            Self::Aaaa => address.is_ipv6(),
            Self::Other(_) => false,
        }
    }
}

impl From<u16> for Kind {
    fn from(number: u16) -> Self {
        match number {
            TYPE_A => Self::A,
            TYPE_AAAA => Self::Aaaa,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::A => f.write_str("A"),
            Self::Aaaa => f.write_str("AAAA"),
            Self::Other(number) => write!(f, "TYPE{number}"),
        }
    }
}

fn words(header: &[u8]) -> [u16; 6] {
    std::array::from_fn(|n| u16::from_be_bytes([header[2 * n], header[2 * n + 1]]))
}

/// A response: recursion is available, and there are no more than 8 answers.
fn header(id: u16, recursion_desired: bool, code: Code, questions: u8, answers: usize) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let answers = u8::try_from(answers).unwrap_or(u8::MAX);
    let flags = [0x80 | u8::from(recursion_desired), 0x80 | code as u8];
    vec![id_high, id_low, flags[0], flags[1], 0, questions, 0, answers, 0, 0, 0, 0]
}

/// The parts of the name at the beginning, and where it ends. A question has no compressed names.
fn labels(mut rest: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let mut labels = Vec::new();
    let mut end = 0;
    loop {
        let (&length, behind) = rest.split_first()?;
        let length = usize::from(length);
        end += 1 + length;
        if length == 0 {
            return (end <= NAME_MAX).then_some((labels, end));
        }
        if length > 63 || end > NAME_MAX {
            return None;
        }
        let (label, behind) = behind.split_at_checked(length)?;
        labels.push(label);
        rest = behind;
    }
}

/// A part may hold any byte, a dot among them: then it is no host's name.
fn host_name(labels: &[&[u8]]) -> Result<HostName, String> {
    let texts: Vec<_> = labels.iter().map(|label| String::from_utf8_lossy(label)).collect();
    let text = texts.join(".");
    let plain = labels.iter().all(|label| label.is_ascii() && !label.contains(&b'.'));
    if plain { text.parse().map_err(|_| text) } else { Err(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UDP_MAX: usize = 512;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn a_question_is_read_and_repeated_as_it_came() {
        let message = query("ReGistry.Example", TYPE_AAAA);
        let question = Question::parse(&message).unwrap();
        assert_eq!(question.name.as_ref().unwrap().as_str(), "registry.example");
        assert_eq!(question.kind, Kind::Aaaa);
        let answer = question.code(Code::NoSuchName);
        assert_eq!(answer[..12], [0xab, 0xcd, 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer[12..], message[12..]);
    }

    #[test]
    fn an_answer_has_the_addresses_of_the_kind_that_was_asked_for() {
        let question = Question::parse(&query("a.example", TYPE_A)).unwrap();
        let addresses: Vec<IpAddr> =
            vec!["2001:db8::1".parse().unwrap(), "203.0.113.7".parse().unwrap()];
        let answer = question.addresses(&addresses);
        assert_eq!(answer[6..8], [0, 1]);
        assert_eq!(
            answer[answer.len() - 16..],
            [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 203, 0, 113, 7]
        );
        let text = Question::parse(&query("a.example", 16)).unwrap();
        assert_eq!(text.addresses(&addresses), text.code(Code::NoError));
    }

    #[test]
    fn options_behind_the_question_are_left_alone() {
        let mut message = query("a.example", TYPE_A);
        message[11] = 1;
        message.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
        assert!(Question::parse(&message).is_ok());
    }

    #[test]
    fn what_is_no_single_question_is_not_answered_with_data() {
        let change = |place: usize, value: u8| {
            let mut message = query("a.example", TYPE_A);
            message[place] = value;
            Question::parse(&message).unwrap_err()
        };
        let answer = |code| Unusable::Answer { id: 0xabcd, code };
        assert_eq!(change(2, 0x81), Unusable::Silence);
        assert_eq!(change(2, 0x11), answer(Code::NotImplemented));
        assert_eq!(change(5, 2), answer(Code::Malformed));
        assert_eq!(change(7, 1), answer(Code::Malformed));
        assert_eq!(change(12, 0xc0), answer(Code::Malformed));
        assert_eq!(Question::parse(&[0; 11]), Err(Unusable::Silence));
        let mut chaos = query("a.example", TYPE_A);
        *chaos.last_mut().unwrap() = 3;
        assert_eq!(Question::parse(&chaos), Err(answer(Code::NotImplemented)));
    }

    #[test]
    fn a_part_with_a_dot_in_it_is_no_host() {
        let mut message = query("evil-example", TYPE_A);
        message[12 + 5] = b'.';
        let question = Question::parse(&message).unwrap();
        assert_eq!(question.name, Err("evil.example".to_owned()));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic_and_no_answer_is_too_long(
            message in prop::collection::vec(any::<u8>(), 0..600),
            addresses in prop::collection::vec(any::<IpAddr>(), 0..40),
        ) {
            match Question::parse(&message) {
                Ok(question) => prop_assert!(question.addresses(&addresses).len() <= UDP_MAX),
                Err(unusable) => prop_assert!(unusable.answer().is_none_or(|it| it.len() == HEADER)),
            }
        }

        #[test]
        fn every_hosts_name_is_read_as_itself(
            name in "[a-zA-Z0-9_-]{1,63}(\\.[a-zA-Z][a-zA-Z0-9-]{0,30}){1,6}",
            addresses in prop::collection::vec(any::<IpAddr>(), 0..40),
        ) {
            let question = Question::parse(&query(&name, TYPE_AAAA)).unwrap();
            prop_assert!(question.addresses(&addresses).len() <= UDP_MAX);
            let read = question.name.map(|name| name.to_string());
            // A name such as xn--… must be one in its other form, too.
            if let Ok(read) = read {
                prop_assert_eq!(read, name.to_ascii_lowercase());
            }
        }
    }
}
