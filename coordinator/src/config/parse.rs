//! From text to typed values. Each function takes trimmed text and answers, when it cannot use
//! it, what is allowed: the end of the sentence "must be …".

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use api_client::ProjectId;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{HostFallback, HostLocal, HostScope, LogFormat, ProjectFilter};

/// What is allowed, for a text that is not.
pub(super) type Allowed = String;

const MAX_CONCURRENT: usize = 1_000;
const POLL_SECONDS: std::ops::RangeInclusive<f64> = 0.05..=3_600.0;

/// An HTTP(S) URL. Credentials in it are refused: they would end up in logs.
pub(super) fn http_url(text: &str) -> Result<Url, Allowed> {
    let allowed = "an http:// or https:// URL without user name and password";
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .filter(|url| url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| allowed.to_owned())
}

/// The base of an API: an HTTP(S) URL that a path can be put after.
pub(super) fn base_url(text: &str) -> Result<Url, Allowed> {
    let url = http_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL, without ? and #".to_owned());
    }
    Ok(url)
}

/// Project ids separated by commas: the order is kept, repetitions are dropped.
pub(super) fn projects(text: &str) -> Result<ProjectFilter, Allowed> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut ids = Vec::new();
    let mut wrong = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        match ProjectId::from_str(part) {
            Ok(id) if ids.contains(&id) => {}
            Ok(id) => ids.push(id),
            Err(_) => wrong.push(format!("{part:?}")),
        }
    }
    let allowed = "project ids (UUIDs) separated by commas";
    if !wrong.is_empty() {
        return Err(format!("{allowed}; not an id: {}", wrong.join(", ")));
    }
    if ids.is_empty() {
        return Err(format!("{allowed}, or not set at all for every project"));
    }
    Ok(ProjectFilter::Only(ids))
}

pub(super) fn max_concurrent(text: &str) -> Result<NonZeroUsize, Allowed> {
    let number = text.parse::<NonZeroUsize>().ok();
    number
        .filter(|number| number.get() <= MAX_CONCURRENT)
        .ok_or_else(|| format!("a whole number from 1 to {MAX_CONCURRENT}"))
}

pub(super) fn poll_interval(text: &str) -> Result<Duration, Allowed> {
    let seconds = text.parse::<f64>().ok();
    seconds
        .filter(|seconds| POLL_SECONDS.contains(seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            let (least, most) = (POLL_SECONDS.start(), POLL_SECONDS.end());
            format!("a number of seconds from {least} to {most}")
        })
}

pub(super) fn positive_number(text: &str) -> Result<f64, Allowed> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "a number above 0".to_owned())
}

/// The address of a Docker Engine.
pub(super) fn engine_host(text: &str) -> Result<String, Allowed> {
    let usable = match Url::parse(text) {
        Ok(url) if url.scheme() == "unix" => {
            url.host_str().unwrap_or("").is_empty() && url.path().len() > 1
        }
        Ok(url) if matches!(url.scheme(), "tcp" | "http") => {
            let no_path = matches!(url.path(), "" | "/");
            let no_credentials = url.username().is_empty() && url.password().is_none();
            let host = url.host_str().is_some_and(|host| !host.is_empty());
            let rest = url.query().is_some() || url.fragment().is_some();
            host && no_path && no_credentials && !rest
        }
        Ok(_) | Err(_) => false,
    };
    let allowed = "unix:///path/of/the.sock, tcp://host:port or http://host:port \
                   (this version has no TLS and no ssh:// to the engine)";
    usable.then(|| text.to_owned()).ok_or_else(|| allowed.to_owned())
}

/// An image reference: its characters are checked here, the rest by the engine.
pub(crate) fn image(text: &str) -> Result<String, Allowed> {
    reference(text, "._-/:@").ok_or_else(|| {
        "an image reference such as terarchitect-agent or registry.example/agent:1.2".to_owned()
    })
}

/// A named volume; blank for none.
pub(super) fn volume(text: &str) -> Result<Option<String>, Allowed> {
    if text.is_empty() {
        return Ok(None);
    }
    reference(text, "._-").map(Some).ok_or_else(|| {
        "a volume name (letters, digits, '.', '_', '-'), or empty for none".to_owned()
    })
}

pub(super) fn network(text: &str) -> Result<String, Allowed> {
    reference(text, "._-")
        .ok_or_else(|| "a network name (letters, digits, '.', '_', '-')".to_owned())
}

pub(super) fn host_fallback(text: &str) -> Result<HostFallback, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "on-start-failure" => Ok(HostFallback::OnStartFailure),
        "always" => Ok(HostFallback::Always),
        "never" => Ok(HostFallback::Never),
        _ => Err("on-start-failure, always or never".to_owned()),
    }
}

pub(super) fn host_local(text: &str) -> Result<HostLocal, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "allow" => Ok(HostLocal::Allow),
        "never" => Ok(HostLocal::Never),
        _ => Err("allow or never".to_owned()),
    }
}

pub(super) fn host_scope(text: &str) -> Result<HostScope, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(HostScope::Auto),
        "off" => Ok(HostScope::Off),
        _ => Err("auto or off".to_owned()),
    }
}

pub(super) fn whole_number(text: &str) -> Result<u32, Allowed> {
    text.parse().map_err(|_| "a whole number, or 0".to_owned())
}

pub(super) fn log_format(text: &str, automatic: LogFormat) -> Result<LogFormat, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(automatic),
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        "journald" => Ok(LogFormat::Journald),
        _ => Err("auto, pretty, json or journald".to_owned()),
    }
}

/// A level or filter directives. A lone word that is no level is refused: as a directive it would
/// name a target and silence everything else. `WARNING` and `CRITICAL` are the original's levels.
pub(crate) fn log_filter(text: &str) -> Result<String, Allowed> {
    let lower = text.to_ascii_lowercase();
    let filter = match lower.as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        _ => text,
    };
    let is_level = LevelFilter::from_str(filter).is_ok();
    let is_directives = filter.contains('=') && EnvFilter::try_new(filter).is_ok();
    if is_level {
        return Ok(filter.to_ascii_lowercase());
    }
    is_directives.then(|| filter.to_owned()).ok_or_else(|| {
        "error, warn, info, debug, trace or off, or directives such as info,coordinator=debug"
            .to_owned()
    })
}

/// Text of one line.
pub(super) fn line(text: &str) -> Result<&str, Allowed> {
    if text.chars().any(char::is_control) {
        return Err("one line without control characters".to_owned());
    }
    Ok(text)
}

/// A path, with `~/` as the home directory, made absolute.
pub(super) fn path(text: &str, home: Option<&Path>) -> Result<PathBuf, Allowed> {
    let path = match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) => return Err("an absolute path: no home directory is known".to_owned()),
        (None, _) => PathBuf::from(line(text)?),
    };
    std::path::absolute(path).map_err(|error| format!("a path ({error})"))
}

/// Letters and digits, and from the second character on these others too.
fn reference(text: &str, others: &str) -> Option<String> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c));
    (begins && rest).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_interval_takes_fractions_within_its_bounds() {
        assert_eq!(poll_interval("0.05").unwrap(), Duration::from_millis(50));
        assert_eq!(poll_interval("3600").unwrap(), Duration::from_secs(3600));
        for text in ["0.04", "0", "-1", "3600.5", "inf", "NaN", "10s", ""] {
            assert!(poll_interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn concurrency_is_between_one_and_a_thousand() {
        assert_eq!(max_concurrent("1000").unwrap().get(), 1000);
        for text in ["0", "1001", "-1", "1.5", "abc", "99999999999999999999"] {
            let allowed = max_concurrent(text).unwrap_err();
            assert_eq!(allowed, "a whole number from 1 to 1000", "{text}");
        }
    }

    #[test]
    fn an_engine_address_is_a_socket_path_or_a_plain_host() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "http://docker:2375/",
            "tcp://[::1]:2375",
        ] {
            assert_eq!(engine_host(text).unwrap(), text);
        }
        for text in [
            "unix://",
            "unix:///",
            "unix://run/docker.sock",
            "/var/run/docker.sock",
            "ssh://host",
            "https://host:2376",
            "tcp://",
            "tcp://user:pass@host:2375",
            "tcp://host:2375/v1.41",
        ] {
            assert!(engine_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lone_word_that_is_no_level_is_not_a_log_filter() {
        assert_eq!(log_filter("INFO").unwrap(), "info");
        assert_eq!(log_filter("WARNING").unwrap(), "warn");
        assert_eq!(log_filter("warn,coordinator=debug").unwrap(), "warn,coordinator=debug");
        for text in ["verbose", "info,coordinator=loud", "coordinator"] {
            assert!(log_filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_for_the_engine_cannot_be_options_or_paths() {
        for text in ["-v", "/host/path", "a b", "a:b"] {
            assert!(volume(text).is_err(), "{text}");
            assert!(network(text).is_err(), "{text}");
        }
        assert_eq!(volume("").unwrap(), None);
        for text in ["-image", "a image", "agent:1\n"] {
            assert!(image(text).is_err(), "{text:?}");
        }
        assert!(image("registry.example:5000/team/agent@sha256:0123").is_ok());
    }

    #[test]
    fn the_host_can_be_a_last_resort_the_only_place_or_no_place_for_a_job() {
        assert_eq!(host_fallback("on-start-failure"), Ok(HostFallback::OnStartFailure));
        assert_eq!(host_fallback("always"), Ok(HostFallback::Always));
        assert_eq!(host_fallback("Never"), Ok(HostFallback::Never));
        assert!(host_fallback("yes").is_err());
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = Some(Path::new("/home/op"));
        assert_eq!(path("~/state", home).unwrap(), Path::new("/home/op/state"));
        assert!(path("~/state", None).is_err());
        assert!(path("relative", None).unwrap().is_absolute());
    }
}
