//! Limits, and what is done when the coordinator stops or something it depends on fails.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::parse::Allowed;
use super::read::Reader;
use super::setting::service;

/// Limits of jobs, and of what may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitsConfig {
    /// Longest time for one job.
    pub(crate) job_timeout: Duration,
    /// Longest time for which an agent may print nothing.
    pub(crate) stall_timeout: Option<Duration>,
    /// Between the request to an agent to end and its kill.
    pub(crate) stop_grace: Duration,
    /// With more undelivered outcomes than this, nothing is claimed.
    pub(crate) outbox_max: NonZeroUsize,
    /// With less free disk space than this, in bytes, nothing is claimed; 0 for no limit.
    pub(crate) disk_floor: u64,
}

/// What a stop does to the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnStop {
    /// They go on, and the next start adopts them.
    Detach,
    /// They are waited for.
    Drain,
    /// They are ended and reported.
    Stop,
}

/// How the coordinator stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShutdownConfig {
    /// What a stop does to the agents.
    pub(crate) on_stop: OnStop,
    /// Longest wait of [`OnStop::Drain`].
    pub(crate) drain_timeout: Duration,
}

/// When something that fails is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BreakerConfig {
    /// After this many failures in a row.
    pub(crate) failures: NonZeroU32,
    /// For this long.
    pub(crate) open: Duration,
    /// After this many successes it counts as well again.
    pub(crate) successes: NonZeroU32,
}

/// What is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeepConfig {
    /// Engine objects of ours that belong to no job.
    pub(crate) orphan_grace: Duration,
    /// What runs of a ticket left that were killed; nothing is kept without.
    pub(crate) state_age: Option<Duration>,
    /// Logs of jobs.
    pub(crate) log_age: Option<Duration>,
    /// Logs of jobs together, in bytes; 0 for no limit.
    pub(crate) log_bytes: u64,
    /// The cache volume, in bytes; 0 for no limit.
    pub(crate) cache_bytes: u64,
}

pub(super) fn read_limits(reader: &mut Reader<'_>) -> Option<LimitsConfig> {
    let job_timeout = reader.value(&service::JOB_TIMEOUT, positive_time);
    let stall_timeout = reader.value(&service::STALL_TIMEOUT, time);
    let stop_grace = reader.value(&service::STOP_GRACE, time);
    let outbox_max = reader.value(&service::OUTBOX_MAX, count);
    let disk_floor = reader.value(&service::DISK_FLOOR, mebibytes);
    Some(LimitsConfig {
        job_timeout: job_timeout?,
        stall_timeout: stall_timeout.map(none_if_zero)?,
        stop_grace: stop_grace?,
        outbox_max: outbox_max?,
        disk_floor: disk_floor?,
    })
}

pub(super) fn read_breaker(reader: &mut Reader<'_>) -> Option<BreakerConfig> {
    let failures = reader.value(&service::BREAKER_FAILURES, count);
    let open = reader.value(&service::BREAKER_OPEN, time);
    let successes = reader.value(&service::BREAKER_SUCCESSES, count);
    Some(BreakerConfig { failures: failures?, open: open?, successes: successes? })
}

pub(super) fn read_shutdown(reader: &mut Reader<'_>) -> Option<ShutdownConfig> {
    let on_stop = reader.value(&service::ON_STOP, on_stop);
    let drain_timeout = reader.value(&service::DRAIN_TIMEOUT, time);
    Some(ShutdownConfig { on_stop: on_stop?, drain_timeout: drain_timeout? })
}

pub(super) fn read_keep(reader: &mut Reader<'_>) -> Option<KeepConfig> {
    let orphan_grace = reader.value(&service::ORPHAN_GRACE, time);
    let state_age = reader.value(&service::STATE_KEEP_AGE, time);
    let log_age = reader.value(&service::LOG_KEEP_AGE, time);
    let log_bytes = reader.value(&service::LOG_KEEP_MIB, mebibytes);
    let cache_bytes = reader.value(&service::CACHE_KEEP_MIB, mebibytes);
    Some(KeepConfig {
        orphan_grace: orphan_grace?,
        state_age: state_age.map(none_if_zero)?,
        log_age: log_age.map(none_if_zero)?,
        log_bytes: log_bytes?,
        cache_bytes: cache_bytes?,
    })
}

/// A number of seconds, or a number with its unit, as settings have them.
pub(crate) fn parse_time(text: &str) -> Result<Duration, Allowed> {
    time(text)
}

fn time(text: &str) -> Result<Duration, Allowed> {
    const UNITS: [(&str, f64); 5] =
        [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let unit = |(name, factor)| Some((text.strip_suffix(name)?.trim_end(), factor));
    let (number, factor) = UNITS.into_iter().find_map(unit).unwrap_or((text, 1.0));
    let seconds = number.parse::<f64>().ok().map(|number| number * factor);
    seconds
        .filter(|seconds| *seconds <= 10_000.0 * 86_400.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a time in seconds, or with a unit: 90, 90s, 15m, 4h, 14d".to_owned())
}

pub(crate) fn positive_time(text: &str) -> Result<Duration, Allowed> {
    let time = time(text)?;
    if time.is_zero() { Err("a time above 0: 90, 90s, 15m, 4h".to_owned()) } else { Ok(time) }
}

fn none_if_zero(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

pub(super) fn count<T: std::str::FromStr>(text: &str) -> Result<T, Allowed> {
    text.parse().map_err(|_| "a whole number above 0".to_owned())
}

fn mebibytes(text: &str) -> Result<u64, Allowed> {
    let number = text.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << 20))
        .ok_or_else(|| "a whole number of MiB, or 0".to_owned())
}

fn on_stop(text: &str) -> Result<OnStop, Allowed> {
    match text {
        "detach" => Ok(OnStop::Detach),
        "drain" => Ok(OnStop::Drain),
        "stop" => Ok(OnStop::Stop),
        _ => Err("detach, drain or stop".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_every_unit() {
        for (text, seconds) in
            [("90", 90.0), ("0.5", 0.5), ("15m", 900.0), ("4h", 14_400.0), ("2 d", 172_800.0)]
        {
            assert_eq!(time(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "h", "-1", "4 hours", "1e99", "NaN", "5ss", "4hh", "1h30m"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(positive_time("0").is_err());
    }

    #[test]
    fn a_size_that_cannot_be_counted_in_bytes_is_refused() {
        assert_eq!(mebibytes("1024"), Ok(1 << 30));
        assert!(mebibytes("99999999999999999").is_err());
    }
}
