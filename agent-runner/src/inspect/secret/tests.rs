use super::*;
use crate::inspect::testing::{BASE62, checked_token, random_text};

fn in_file(path: &str, text: &str) -> Vec<&'static str> {
    let known = Redactor::default();
    let found = hits(&known, Some(path), text.as_bytes(), Search::Everything);
    found.iter().map(|hit| hit.what).collect()
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
