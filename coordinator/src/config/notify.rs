//! Notifications: where they go, and of what.

use std::collections::BTreeSet;

use api_client::Secret;
use url::Url;

use super::parse::Allowed;
use super::read::Reader;
use super::setting::service;

/// Notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotifyConfig {
    /// The webhook, where there is one: its URL is its key.
    pub(crate) webhook: Option<Secret>,
    /// What is told.
    pub(crate) on: BTreeSet<NotifyOn>,
    /// What they are signed with.
    pub(crate) secret: Option<Secret>,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NotifyOn {
    /// A job that failed.
    JobFailed,
    /// Every job that ended.
    JobEnded,
    /// Something that someone has to mend, and its end.
    Alarm,
    /// The coordinator claims nothing any more, by an operator's wish.
    Drain,
}

impl NotifyOn {
    const ALL: [Self; 4] = [Self::JobFailed, Self::JobEnded, Self::Alarm, Self::Drain];

    /// What is told where nothing else is said.
    const USUAL: [Self; 3] = [Self::JobFailed, Self::Alarm, Self::Drain];

    const fn name(self) -> &'static str {
        match self {
            Self::JobFailed => "job_failed",
            Self::JobEnded => "job_ended",
            Self::Alarm => "alarm",
            Self::Drain => "drain",
        }
    }
}

pub(super) fn read_notify(reader: &mut Reader<'_>) -> Option<NotifyConfig> {
    let webhook = reader.secret_of(&service::NOTIFY_WEBHOOK_URL, webhook);
    let on = reader.optional(&service::NOTIFY_ON, notify_on);
    let secret = reader.secret(&service::NOTIFY_SECRET);
    let on = on?.unwrap_or_else(|| NotifyOn::USUAL.into());
    Some(NotifyConfig { webhook: webhook?, on, secret: secret? })
}

fn notify_on(text: &str) -> Result<BTreeSet<NotifyOn>, Allowed> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let known = |name| NotifyOn::ALL.into_iter().find(|on| on.name() == name);
    let all = || NotifyOn::ALL.map(NotifyOn::name).join(", ");
    names.map(|name| known(name).ok_or_else(|| format!("some of {}", all()))).collect()
}

/// Credentials in it are as good as a key in its path.
fn webhook(text: &str) -> Result<(), Allowed> {
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match Url::parse(text) {
        Ok(url) if is_http(&url) => Ok(()),
        _ => Err("an http:// or https:// URL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_some_of_a_closed_list() {
        let on = notify_on("drain, job_ended").unwrap();
        assert_eq!(on, [NotifyOn::JobEnded, NotifyOn::Drain].into());
        let error = notify_on("job_failed,everything").unwrap_err();
        assert_eq!(error, "some of job_failed, job_ended, alarm, drain");
    }

    #[test]
    fn a_webhook_is_reached_by_http() {
        webhook("https://hooks.example/services/T0/B0/x").unwrap();
        webhook("ftp://hooks.example").unwrap_err();
        webhook("hooks.example").unwrap_err();
    }
}
