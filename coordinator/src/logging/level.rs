//! What is logged, changed while the process runs: by settings that were read again, or by a command,
//! for a time if it says so.

use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, Registry};

use super::{LogError, filter};

/// Changes what is logged.
#[derive(Debug)]
pub(crate) struct LogHandle {
    handle: Handle<EnvFilter, Registry>,
    levels: Mutex<Levels>,
    changed: Notify,
}

/// What holds, and what comes after it.
#[derive(Debug)]
struct Levels {
    /// The filter of the settings.
    settled: String,
    /// When the filter of a command gives way to it.
    until: Option<Instant>,
}

impl LogHandle {
    pub(super) fn new(handle: Handle<EnvFilter, Registry>, settled: &str) -> Self {
        let levels = Mutex::new(Levels { settled: settled.to_owned(), until: None });
        Self { handle, levels, changed: Notify::new() }
    }

    /// Logs by the settings' filter from now on.
    pub(crate) fn set_filter(&self, text: &str) -> Result<(), LogError> {
        self.handle.reload(filter(text)?)?;
        *self.levels() = Levels { settled: text.to_owned(), until: None };
        Ok(())
    }

    /// Logs by an operator's filter: for this time, or until settings are read again or the process ends.
    pub(crate) fn set_for(&self, text: &str, time: Option<Duration>) -> Result<(), LogError> {
        self.handle.reload(filter(text)?)?;
        // A time that no clock reaches has no end.
        self.levels().until = time.and_then(|time| Instant::now().checked_add(time));
        self.changed.notify_one();
        Ok(())
    }

    /// Goes back to the settings' filter whenever the time of another is over; does not return.
    pub(crate) async fn go_back(&self) {
        loop {
            let until = self.levels().until;
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = over => self.restore(),
            }
        }
    }

    /// Goes back, unless another command or the settings came first.
    fn restore(&self) {
        let settled = {
            let mut levels = self.levels();
            if levels.until.is_none_or(|until| until > Instant::now()) {
                return;
            }
            levels.until = None;
            levels.settled.clone()
        };
        // Said before: by the settings it may not be shown.
        tracing::info!("the log is by the settings again: {settled}");
        let restored = filter(&settled).map_err(LogError::from);
        if let Err(error) = restored.and_then(|filter| Ok(self.handle.reload(filter)?)) {
            tracing::error!(%error, "the log stays as it is");
        }
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::reload;

    use super::*;

    type Layer = reload::Layer<EnvFilter, Registry>;

    fn handle(settled: &str) -> (Layer, LogHandle) {
        let (layer, handle) = Layer::new(filter(settled).unwrap());
        (layer, LogHandle::new(handle, settled))
    }

    fn now(handle: &LogHandle) -> String {
        handle.handle.with_current(ToString::to_string).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_for_a_time_goes_back_by_itself_and_one_without_stays() {
        let (_layer, handle) = handle("warn");
        let after = async |time| {
            let _over = tokio::time::timeout(Duration::from_secs(time), handle.go_back()).await;
            now(&handle)
        };
        handle.set_for("coordinator=trace", Some(Duration::from_secs(60))).unwrap();
        assert!(after(59).await.contains("coordinator=trace"));
        assert!(after(2).await.ends_with("warn"));
        handle.set_for("coordinator=trace", None).unwrap();
        assert!(after(10_000).await.contains("coordinator=trace"));
        handle.set_filter("error").unwrap();
        assert!(now(&handle).ends_with("error"));
    }

    #[test]
    fn what_is_no_filter_is_refused_and_changes_nothing() {
        let (_layer, handle) = handle("warn");
        let before = now(&handle);
        handle.set_for("a=b=c", None).unwrap_err();
        assert_eq!(now(&handle), before);
    }

    #[test]
    fn libraries_are_quiet_at_debug_until_they_are_asked_for() {
        let shown = filter("debug").unwrap().to_string();
        assert!(shown.contains("hyper_util=info"), "{shown}");
        let shown = filter("debug,hyper_util=trace").unwrap().to_string();
        assert!(
            shown.contains("hyper_util=trace") && !shown.contains("hyper_util=info"),
            "{shown}"
        );
    }
}
