use super::*;
use crate::inspect::testing::{BASE62, HEX, checked_token, random_text};

fn names(text: &str) -> Vec<&'static str> {
    let known = Redactor::default();
    hits(&known, None, text.as_bytes(), Search::Everything).iter().map(|hit| hit.what).collect()
}

fn in_file(path: &str, text: &str) -> Vec<&'static str> {
    let known = Redactor::default();
    let found = hits(&known, Some(path), text.as_bytes(), Search::Everything);
    found.iter().map(|hit| hit.what).collect()
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
fn credentials_are_found_in_files_that_are_made_for_them() {
    let token = random_text(BASE62, 32);
    let npmrc = format!("//registry.npmjs.org/:_authToken={token}\n");
    assert_eq!(in_file("web/.npmrc", &npmrc), ["a token of a package registry"]);
    assert_eq!(in_file("web/notes", &npmrc), [""; 0]);
    let netrc = "machine example.org login me password correct-horse-1\n";
    assert_eq!(in_file(".netrc", netrc), ["a password for a machine"]);
    let stored = format!("https://me:{token}@git.example.org\n");
    assert_eq!(in_file(".git-credentials", &stored), ["a password for a git server"]);
    let pypirc = "[pypi]\nusername = me\npassword = correct-horse-1\n";
    assert_eq!(in_file(".pypirc", pypirc), ["a password of a package registry"]);
    let auths = format!("{{\"auths\":{{\"r\":{{\"auth\":\"{token}\"}}}}}}");
    assert_eq!(in_file(".dockerconfigjson", &auths), ["a password of an image registry"]);
    for name in [".env", ".env.local", "web/.env.production"] {
        let text = format!("# a comment\nAPP_SECRET_KEY=\"{token}\"\n");
        assert_eq!(in_file(name, &text), ["a secret of an environment file"], "{name}");
    }
}

#[test]
fn placeholders_in_files_for_credentials_are_none() {
    let token = random_text(BASE62, 32);
    assert_eq!(in_file(".npmrc", "//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n"), [""; 0]);
    assert_eq!(in_file(".netrc", "machine example.org login me password <password>\n"), [""; 0]);
    assert_eq!(in_file(".env.example", &format!("SECRET={token}\n")), [""; 0]);
    for line in [
        "SECRET_KEY=",
        "SECRET_KEY=changeme",
        "API_KEY=$OTHER",
        "TOKEN_URL=https://sso.acme.test/Auth/v2/token",
        "PASSWORD=postgres",
        "# SECRET=x",
        "DEBUG=1",
        "PORT=8080",
        "SECRET_NAME=my-application-secret",
    ] {
        assert_eq!(in_file(".env", line), [""; 0], "{line}");
    }
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
fn a_known_value_that_has_a_shape_is_one_hit() {
    let token = checked_token("ghp_");
    let known = Redactor::new([&api_client::Secret::from(&*token)]);
    let text = format!("a {token}\n");
    let found = hits(&known, None, text.as_bytes(), Search::Everything);
    assert_eq!(found, [Hit { what: "a secret of this run", value: 2..2 + token.len() }]);
}

#[test]
fn lines_are_counted_from_one_and_only_in_text() {
    assert_eq!(line_of(b"a\nb\nc", 4), Some(3));
    assert_eq!(line_of(b"a", 0), Some(1));
    assert_eq!(line_of(&[0xff, 0xfe, b'\n', b'a'], 3), None);
}
