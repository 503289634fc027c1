//! URLs in findings: what the app holds may have a user name and a password in it.

use url::Url;

/// Whether a URL of the web has a user name or a password in it, as those who copy tokens into it leave it.
pub(super) fn has_credentials(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| is_web(&url) && holds_some(&url))
}

/// A URL without them.
pub(super) fn shown(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if holds_some(&url) => bare(&url).into(),
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
    }
}
