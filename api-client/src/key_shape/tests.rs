use super::*;

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";

/// Text of this alphabet that no one could guess, and the same each time.
fn random_text(alphabet: &str, length: usize) -> String {
    let alphabet = alphabet.as_bytes();
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15 ^ length as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state % alphabet.len() as u64) as usize])
    };
    (0..length).map(|_| next()).collect()
}

/// A token as GitHub and npm make them.
fn checked_token(prefix: &str) -> String {
    let text = random_text(BASE62, 30);
    let sum = checksum(text.as_bytes());
    format!("{prefix}{text}{}", String::from_utf8_lossy(&sum))
}

fn names(text: &str) -> Vec<&'static str> {
    keys_in(text.as_bytes()).map(|found| found.what).collect()
}

/// A key of a shape, for one of its clues.
fn key(shape: &Shape, clue: &str) -> String {
    if shape.proof == shape::Proof::Checksum {
        return checked_token(clue);
    }
    let all: String = (33_u8..127).map(char::from).collect();
    // What ends a sentence ends a key as well.
    let fits = |c: &char| shape.alphabet.has(*c as u8) && !matches!(c, '.' | '-' | '/' | '=');
    let alphabet: String = all.chars().filter(fits).collect();
    let lead = random_text(&alphabet, shape.lead);
    format!("{lead}{clue}{}", random_text(&alphabet, *shape.length.start()))
}

#[test]
fn the_table_can_be_searched_for() {
    assert!(CLUES.matcher.is_some());
}

#[test]
fn a_key_of_each_shape_is_found_wherever_it_stands() {
    for shape in table::SHAPES {
        for clue in shape.clues {
            let key = key(shape, clue);
            for text in [
                key.clone(),
                format!("KEY=\"{key}\"\n"),
                format!("see {key}, and\nmore"),
                format!("{{\"a\":\"line\\n{key}\\n\"}}"),
                format!("(`{key}`)"),
            ] {
                assert_eq!(names(&text), [shape.name], "{clue}: {text}");
            }
        }
    }
}

#[test]
fn examples_of_each_shape_are_not_taken_for_keys() {
    for shape in table::SHAPES {
        for clue in shape.clues {
            let (lead, length) = (shape.lead, *shape.length.start());
            let with = |text: &str| {
                let long = text.repeat(300);
                format!("{}{clue}{}", &long[..lead], &long[..length])
            };
            for body in [
                "x",
                "0123456789abcdef",
                "YOUR-TOKEN-",
                "your_token_here_",
                "example1Example2",
                "0",
            ] {
                assert_eq!(names(&with(body)), [""; 0], "{clue}: {body}");
            }
        }
    }
}

#[test]
fn a_key_that_is_cut_or_goes_on_is_none() {
    let token = checked_token("npm_");
    assert_eq!(names(&token[..token.len() - 1]), [""; 0]);
    assert_eq!(names(&format!("{token}0")), [""; 0], "{token}");
    let key = format!("r8_{}", random_text(BASE62, 38));
    assert_eq!(names(&key), [""; 0]);
}

#[test]
fn the_checksum_is_that_of_the_issuers() {
    // Tokens that npm's and GitHub's own texts show as examples, in two pieces each.
    assert_eq!(&checksum(concat!("qkJaB6MffYVzZXW", "qmcoF49yrUxP3wf").as_bytes()), b"0LsakP");
    assert_eq!(&checksum(concat!("zQWBuTSOoRi4A9s", "pHcVY5ncnsDkxkJ").as_bytes()), b"0mLq17");
}

#[test]
fn private_keys_are_found_in_files_and_in_literals() {
    let body = random_text(BASE62, 64);
    for label in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
        let header = format!("-----BEGIN {label}PRIVATE KEY-----");
        assert_eq!(names(&format!("{header}\n{body}\n")), ["a private key"]);
        assert_eq!(names(&format!("\"{header}\\n{body}\\n\"")), ["a private key"]);
        let typed =
            format!("{header}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{body}\n");
        assert_eq!(names(&typed), ["a private key"]);
        assert_eq!(names(&format!("starts_with(\"{header}\")")), [""; 0]);
        assert_eq!(names(&format!("{header}\n...\n")), [""; 0]);
    }
    assert_eq!(names(&format!("-----BEGIN CERTIFICATE-----\n{body}\n")), [""; 0]);
    assert_eq!(names(&format!("-----BEGIN PUBLIC KEY-----\n{body}\n")), [""; 0]);
    assert_eq!(names(&format!("Private-Lines: 14\n{body}\n")), ["a private key"]);
}

#[test]
fn a_key_of_aws_is_its_secret_and_not_its_id_alone() {
    let id = format!("AKIA{}", random_text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16));
    let secret = random_text(BASE62, 40);
    assert_eq!(names(&format!("id: {id}\nkey: {secret}\n")), ["an AWS secret key"]);
    assert_eq!(names(&format!("key: {secret}\nid: {id}\n")), ["an AWS secret key"]);
    assert_eq!(names(&format!("aws_secret_access_key = {secret}\n")), ["an AWS secret key"]);
    assert_eq!(names(&format!("{{\"SecretAccessKey\": \"{secret}\"}}")), ["an AWS secret key"]);
    assert_eq!(names(&format!("id: {id}\n")), [""; 0]);
    assert_eq!(names(&format!("id: {id}\nsha: {}\n", random_text(HEX, 40))), [""; 0]);
    let example = ["AKIA", "IOSFODNN7", "EXAMPLE"].concat();
    let example_secret = ["wJalrXUtnFEMI/K7MDENG", "/bPxRfiCYEXAMPLEKEY"].concat();
    assert_eq!(names(&format!("{example}\n{example_secret}")), [""; 0]);
    assert_eq!(names(&format!("aws_secret_access_key={example_secret}")), [""; 0]);
    assert_eq!(names(&format!("aws_secret_access_key: {}", "$AWS_SECRET")), [""; 0]);
}

#[test]
fn ordinary_text_holds_nothing() {
    let uuid = "123e4567-e89b-12d3-a456-426614174000";
    let sha = random_text(HEX, 64);
    let integrity = random_text(BASE62, 86);
    for text in [
        format!("id = \"{uuid}\""),
        format!("commit {sha}"),
        format!("\"integrity\": \"sha512-{integrity}==\""),
        "const SKIP = 1; skip_live_tests; task-proj-something-long-and-lower-case".to_owned(),
        "let prefix = \"ghp_\"; // tokens start with ghp_ or github_pat_".to_owned(),
        "Authorization: Bearer sk-ant-...".to_owned(),
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX".to_owned(),
        "postgres://user:password@localhost:5432/db".to_owned(),
        format!("data:image/png;base64,{}", random_text(BASE62, 3_000)),
    ] {
        assert_eq!(names(&text), [""; 0], "{text}");
    }
}

#[test]
fn each_key_is_taken_out_and_a_private_one_with_all_its_lines() {
    let (token, body) = (checked_token("ghp_"), random_text(BASE62, 64));
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n{body}\nAbc=\n-----END PRIVATE KEY-----");
    let (text, count) = (format!("a {token}, {token}\n{pem}\nz"), 3);
    let without = "a [redacted], [redacted]\n-----BEGIN PRIVATE KEY-----\n[redacted]-----END \
                   PRIVATE KEY-----\nz";
    assert_eq!(without_keys(&text), (without.into(), count));
    let literal = format!("\"{}\"", pem.replace('\n', "\\n"));
    let without = "\"-----BEGIN PRIVATE KEY-----\\n[redacted]-----END PRIVATE KEY-----\"";
    assert_eq!(without_keys(&literal), (without.into(), 1));
    let cut = format!("\"-----BEGIN PRIVATE KEY-----\\n{body}\\\"\"");
    let without = "\"-----BEGIN PRIVATE KEY-----\\n[redacted]\\\"\"";
    assert_eq!(without_keys(&cut), (without.into(), 1));
    assert_eq!(without_keys("nothing, ünd"), ("nothing, ünd".into(), 0));
}

#[test]
fn a_private_key_in_a_listing_is_taken_out_with_all_its_lines() {
    let lines: Vec<_> =
        (0..5).map(|_| random_text(BASE62, 64)).chain(["Abc=".to_owned()]).collect();
    let whole = |prefix: &str, between: &str| -> String {
        let numbered = |(number, line): (usize, &String)| {
            format!("{}{line}", prefix.replace('N', &(number + 2).to_string()))
        };
        lines.iter().enumerate().map(numbered).collect::<Vec<_>>().join(between)
    };
    for prefix in ["     N→", "0000N| ", "-", "+", "> ", "N\\t", "N:", "# "] {
        for between in ["\n", "\\n"] {
            let body = whole(prefix, between);
            let pem = format!(
                "-----BEGIN PRIVATE KEY-----{between}{body}{between}-----END PRIVATE KEY-----"
            );
            // One that was cut has no end.
            for text in [&pem[..], &pem[..pem.len() - 40]] {
                let (without, count) = without_keys(text);
                assert_eq!(count, 1, "{text}");
                for line in lines.iter().filter(|line| line.len() > 8) {
                    assert!(!without.contains(line), "{prefix:?}: {without}");
                }
            }
        }
    }
}

#[test]
fn what_follows_a_private_key_stays() {
    let body = random_text(BASE62, 64);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n");
    let cut = format!(
        "{pem}...\n## The rest of the page\n-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"
    );
    assert!(without_keys(&cut).0.contains("## The rest of the page"));
}
