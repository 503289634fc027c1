//! URLs in findings: what the app holds may have a user name and a password in it.

use url::Url;

/// Whether a URL of the web has a user name or a password in it, as those who copy tokens into it leave it.
pub(super) fn has_credentials(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| is_web(&url) && holds_some(&url))
}

/// Whether a text is meant as a URL and cannot be read as one. One with a `#` in its password is none.
pub(super) fn is_broken(text: &str) -> bool {
    text.contains("://") && Url::parse(text).is_err()
}

/// A URL without them. Where they are in one that cannot be read is not known, so that only its beginning is shown.
pub(super) fn shown(text: &str) -> String {
    match (Url::parse(text), text.split_once("://")) {
        (Ok(url), _) if holds_some(&url) => bare(&url).into(),
        (Err(_), Some((scheme, _))) => format!("{scheme}://…"),
        _ => text.to_owned(),
    }
}

/// The same of a URL that was read.
pub(super) fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    let _no_password = bare.set_password(None);
    let _no_username = bare.set_username("");
    bare
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn holds_some(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_and_never_shown() {
        let text = "https://me:ghp_secret@git.example/acme/web";
        assert!(has_credentials(text) && has_credentials("https://ghp_secret@git.example/x"));
        assert_eq!(shown(text), "https://git.example/acme/web");
        for plain in ["https://git.example/acme/web", "ssh://git@git.example/acme/web"] {
            assert!(!has_credentials(plain), "{plain}");
        }
        assert_eq!(shown("git@git.example:acme/web"), "git@git.example:acme/web");
        let broken = "https://me:pa#ss@git.example/acme/web";
        assert!(is_broken(broken) && !is_broken(text) && !is_broken("git@git.example:acme/web"));
        assert_eq!(shown(broken), "https://…");
    }
}
