//! A sign of life once a minute from what may print nothing for long: a coordinator ends a runner that
//! prints nothing.
//!
//! Invariant: only what ends by a limit of its own is given one, so that it need not look stalled.

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::logging::PROGRESS;

/// How often the log says that it goes on.
const PULSE: Duration = Duration::from_secs(60);

/// Does the work, and says now and then that this, whose name it is, goes on.
pub(crate) async fn with_pulse<T>(what: impl Display, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        never = beat(what) => match never {},
    }
}

async fn beat(what: impl Display) -> Infallible {
    let began = Instant::now();
    let mut ticks = interval_at(began + PULSE, PULSE);
    loop {
        ticks.tick().await;
        let secs = began.elapsed().as_secs();
        tracing::info!(target: PROGRESS, secs, "{what} goes on");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tokio::time::sleep;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_told_of_once_a_minute() {
        let lines = Lines::default();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        with_pulse("it", sleep(Duration::from_secs(59))).await;
        assert!(lines.0.lock().unwrap().is_empty());
        with_pulse("git lfs push", sleep(Duration::from_secs(190))).await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let told = |secs: u32| text.contains(&format!("git lfs push goes on secs={secs}"));
        assert!(told(60) && told(120) && told(180), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
