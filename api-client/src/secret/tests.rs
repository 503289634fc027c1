use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::form::forms;
use super::*;

const TOKEN: &str = "ghp_s3cr3t/with+\"quotes\" and = signs";

fn redactor() -> Redactor {
    Redactor::new([&Secret::from(TOKEN), &Secret::from("second-key-42")])
}

/// What is let out of a text that comes in pieces of these lengths.
fn streamed(redactor: &Redactor, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stream = redactor.stream();
    let mut out = Vec::new();
    let mut rest = text;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*cut).min(rest.len()));
        out.extend(stream.push(piece));
        rest = tail;
    }
    out.extend(stream.finish());
    out
}

#[test]
fn a_secret_prints_nothing_of_itself() {
    assert_eq!(format!("{:?}", Some(Secret::from(TOKEN))), "Some(Secret(***))");
}

#[test]
fn every_form_of_a_secret_is_redacted() {
    for form in forms(TOKEN) {
        let text = format!("before {form} after");
        assert_eq!(redactor().redact(&text), "before [redacted] after", "{form}");
    }
}

#[test]
fn what_other_programs_make_of_a_secret_is_redacted() {
    let secret = "pä/ss<&>'wörd\"+ 1\\2😀";
    let redactor = Redactor::new([&Secret::from(secret)]);
    for form in [
        // Python: json.dumps, urllib.parse.quote, quote_plus.
        r#"p\u00e4/ss<&>'w\u00f6rd\"+ 1\\2\ud83d\ude00"#,
        "p%C3%A4/ss%3C%26%3E%27w%C3%B6rd%22%2B%201%5C2%F0%9F%98%80",
        "p%C3%A4%2Fss%3C%26%3E%27w%C3%B6rd%22%2B+1%5C2%F0%9F%98%80",
        // JavaScript: JSON.stringify, encodeURIComponent.
        r#"pä/ss<&>'wörd\"+ 1\\2😀"#,
        "p%C3%A4%2Fss%3C%26%3E'w%C3%B6rd%22%2B%201%5C2%F0%9F%98%80",
        // Go: json.Marshal.
        r#"pä/ss\u003c\u0026\u003e'wörd\"+ 1\\2😀"#,
        // PHP: json_encode.
        r#"p\u00e4\/ss<&>'w\u00f6rd\"+ 1\\2\ud83d\ude00"#,
        // .NET: JsonSerializer.
        r"p\u00E4/ss\u003C\u0026\u003E\u0027w\u00F6rd\u0022\u002B 1\\2\uD83D\uDE00",
        // Lower-case percent encoding, and all characters escaped.
        "p%c3%a4%2fss%3c%26%3e%27w%c3%b6rd%22%2b%201%5c2%f0%9f%98%80",
    ] {
        assert_eq!(redactor.redact(form), REDACTED, "{form}");
    }
}

#[test]
fn a_secret_is_found_where_it_is_whatever_surrounds_it() {
    let mut bytes = vec![0xff, 0x00];
    bytes.extend_from_slice(STANDARD.encode(TOKEN).as_bytes());
    bytes.push(b'\n');
    let found = redactor().find(&bytes);
    assert!(matches!(&found[..], [one] if one.start == 2), "{found:?}");
    assert!(redactor().find(b"nothing of that kind").is_empty());
}

#[test]
fn a_token_in_basic_authentication_is_redacted_whatever_the_user_name() {
    for user in ["", "x", "me", "x-access-token"] {
        let header = STANDARD.encode(format!("{user}:{TOKEN}"));
        let left = redactor().redact(&header).replace(REDACTED, "");
        assert!(left.len() < header.len() - TOKEN.len(), "{user}: {left}");
    }
}

#[test]
fn the_password_of_a_proxy_is_redacted_by_itself_as_well() {
    let redactor = Redactor::new([&Secret::from("http://me:proxy-p%40ss-1@proxy:3128")]);
    assert_eq!(redactor.redact("407 for proxy-p%40ss-1"), "407 for [redacted]");
    assert_eq!(redactor.redact("407 for proxy-p@ss-1"), "407 for [redacted]");
    let basic = STANDARD.encode("me:proxy-p@ss-1");
    assert!(redactor.redact(&basic).contains(REDACTED), "{basic}");
}

#[test]
fn the_lines_of_a_secret_of_many_are_redacted_by_themselves() {
    let redactor =
        Redactor::new([&Secret::from("first-line-of-a-key\nshort\nsecond-line-of-a-key\n")]);
    assert_eq!(redactor.redact("1 first-line-of-a-key"), "1 [redacted]");
    assert_eq!(redactor.redact("second-line-of-a-key short"), "[redacted] short");
}

#[test]
fn a_word_that_is_part_of_a_secret_is_no_whole_secret() {
    let secrets = [
        "postgres://app:postgres@db/app",
        "postgres://app:q7Zr0mW2xLp9@db/app",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0x7Q\n",
    ]
    .map(Secret::from);
    let whole = Redactor::of_whole(&secrets);
    for text in ["image: postgres", "-----BEGIN RSA PRIVATE KEY-----"] {
        assert!(whole.find(text.as_bytes()).is_empty(), "{text}");
    }
    for text in ["q7Zr0mW2xLp9", "MIIEpAIBAAKCAQEA0x7Q", "postgres://app:postgres@db/app"] {
        assert_eq!(whole.find(text.as_bytes()).len(), 1, "{text}");
    }
    assert_eq!(Redactor::new(&secrets).find(b"image: postgres").len(), 1);
}

#[test]
fn short_values_are_left_alone() {
    let redactor = Redactor::new([&Secret::from("dummy"), &Secret::from("  ")]);
    assert_eq!(redactor.redact("a dummy  value"), "a dummy  value");
}

#[test]
fn a_line_that_holds_no_secret_is_let_out_at_once() {
    let mut stream = redactor().stream();
    assert_eq!(stream.push(b"step 1 done\n"), b"step 1 done\n");
    assert_eq!(stream.push(b"token: ghp_s3"), b"token: ");
    assert_eq!(stream.push(b"ven\n"), b"ghp_s3ven\n");
}

#[test]
fn a_stream_learns_secrets_while_it_flows_and_forgets_none() {
    let mut stream = redactor().stream();
    assert_eq!(stream.push(b"new-token-1 "), b"new-token-1 ");
    stream.learn([&Secret::from("new-token-1")]);
    let out = stream.push(format!("new-token-1 {TOKEN}\n").as_bytes());
    assert_eq!(out, b"[redacted] [redacted]\n");
}

/// Values as keys and passwords are: printable, with what encoders escape, and some that are not ASCII.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_-]{8,60}",
        "[!-~ ]{8,40}",
        "[a-z/+\"\\\\<&>'%\u{e4}\u{4e2d}\u{1f600}]{8,20}"
    ]
    .prop_map(|text| text.trim().to_owned())
    .prop_filter("long enough to be hidden", |text| text.len() >= MIN_REDACTED_LEN)
}

/// One form of a value, by encoders that are not ours where there are some.
fn encoded(value: &str, how: usize, pad: &str) -> String {
    let json = serde_json::to_string(value).unwrap();
    let json = &json[1..json.len() - 1];
    match how {
        0 => value.to_owned(),
        1 => json.to_owned(),
        2 => json.replace('/', "\\/"),
        3 => value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        4 => url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        5 => value.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        6 => STANDARD.encode(value),
        7 => URL_SAFE_NO_PAD.encode(value),
        _ => STANDARD.encode(format!("{pad}{value}{pad}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_secret_is_redacted_in_every_form_and_wherever_the_stream_is_cut(
        values in proptest::collection::vec(value(), 1..4),
        parts in proptest::collection::vec((0usize..4, 0usize..9, "[0-9 \n:,{}]{0,12}"), 1..6),
        cuts in proptest::collection::vec(1usize..40, 1..20),
    ) {
        let secrets: Vec<Secret> = values.iter().map(|value| Secret::from(value.as_str())).collect();
        let redactor = Redactor::new(&secrets);
        let mut text = String::new();
        for (which, how, around) in &parts {
            text.push_str(around);
            // A line end lets no form run into the next one.
            text.push('\n');
            text.push_str(&encoded(&values[which % values.len()], *how, around));
            text.push('\n');
        }
        let out = redactor.redact(&text);
        for (which, how, _) in &parts {
            let value = &values[which % values.len()];
            let form = encoded(value, *how, "");
            prop_assert!(!out.contains(&form), "{form} in {out}");
            if *how == 8 {
                continue;
            }
            prop_assert!(out.lines().filter(|line| *line == REDACTED).count() > 0, "{out}");
        }
        prop_assert_eq!(out.matches(REDACTED).count() >= parts.len(), true, "{}", out);
        let streamed = streamed(&redactor, text.as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8(streamed).unwrap(), out.into_owned());
    }

    #[test]
    fn a_stream_of_any_bytes_is_what_the_whole_would_be(
        value in "[ab]{8,10}",
        other in "[ab]{8,12}",
        bytes in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..400),
        cuts in proptest::collection::vec(1usize..12, 1..20),
    ) {
        let redactor = Redactor::new([&Secret::from(value), &Secret::from(other)]);
        let whole = streamed(&redactor, &bytes, &[usize::MAX]);
        let cut = streamed(&redactor, &bytes, &cuts);
        prop_assert_eq!(&cut, &whole);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let out = redactor.redact(text).into_owned();
            prop_assert_eq!(out.as_bytes(), &whole[..]);
        }
        prop_assert!(redactor.find(&whole).is_empty());
    }
}
