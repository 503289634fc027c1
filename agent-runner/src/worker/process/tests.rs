//! Real processes: what is ended, what is kept, and that nothing is left.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use super::*;

const LONG: Limits = Limits { turn: Duration::from_secs(60), stall: Duration::from_secs(60) };

fn shell(script: &str) -> Invocation {
    Invocation {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: std::env::temp_dir(),
        user: None,
        prompt: String::new(),
        redaction: Redaction::default(),
        shut_out: ShutOutWatch::never(),
    }
}

async fn lines_of(invocation: Invocation) -> (Finished, Vec<String>) {
    let mut lines = Vec::new();
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        Next::Continue
    };
    let finished = run(invocation, LONG, &CancellationToken::new(), &mut keep).await.unwrap();
    (finished, lines)
}

/// Runs a script that prints pids, one a line, and does not end; cancels after `count` of them.
async fn cancelled_after(script: &str, count: usize) -> (Finished, Vec<Pid>) {
    let cancel = CancellationToken::new();
    let mut pids = Vec::new();
    let mut keep = |line: &str| {
        pids.push(Pid::from_raw(line.trim().parse().unwrap()));
        if pids.len() == count {
            cancel.cancel();
        }
        Next::Continue
    };
    let finished = run(shell(script), LONG, &cancel, &mut keep).await.unwrap();
    (finished, pids)
}

/// Whether a process runs; one that is dead and not reaped yet does not.
fn runs(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
}

#[tokio::test]
async fn the_prompt_arrives_whole_and_the_pipe_is_closed() {
    let mut invocation = shell("wc -c; echo done");
    invocation.prompt = "x".repeat(1 << 20);
    let (finished, lines) = lines_of(invocation).await;
    assert_eq!(lines, ["1048576", "done"]);
    assert_eq!(finished.stop, Stop::Exited(ExitStatus::from_raw(0)));
}

#[tokio::test]
async fn a_process_that_ignores_its_prompt_is_no_error() {
    let mut invocation = shell("exit 3");
    invocation.prompt = "x".repeat(1 << 20);
    let (finished, _) = lines_of(invocation).await;
    assert_eq!(finished.stop, Stop::Exited(ExitStatus::from_raw(3 << 8)));
}

#[tokio::test]
async fn nothing_of_our_environment_is_inherited() {
    let (_, lines) = lines_of(shell("env")).await;
    let mut names: Vec<_> = lines.iter().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, [TURN_MARK, "PATH"]);
}

#[tokio::test]
async fn standard_error_is_kept_bounded() {
    let script =
        "echo first >&2; head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 1";
    let (finished, _) = lines_of(shell(script)).await;
    assert!(finished.stderr.starts_with("first") && finished.stderr.ends_with("last\n"));
    assert!(finished.stderr.len() < 2 * STDERR_MAX, "{}", finished.stderr.len());
}

#[tokio::test]
async fn secrets_are_hidden_before_anything_is_cut() {
    let secret = "ghp_0123456789abcdef";
    // Of standard error, the beginning that is kept ends within the secret.
    let invocation = shell(&format!(
        "echo {secret}; head -c {} /dev/zero | tr '\\0' x >&2; echo {secret} >&2; \
         head -c 90000 /dev/zero | tr '\\0' x >&2",
        STDERR_MAX / 2 - 8
    ));
    invocation.redaction.register([&secret.into()]);
    let (finished, lines) = lines_of(invocation).await;
    assert_eq!(lines, ["[redacted]"]);
    assert!(!finished.stderr.contains("ghp_"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_line_without_end_does_not_fill_the_memory_and_the_next_is_read() {
    let (finished, lines) =
        lines_of(shell("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo after")).await;
    assert_eq!(lines, ["after"]);
    assert_eq!((finished.counts.good, finished.counts.too_long), (1, 1));
}

#[tokio::test]
async fn cancelling_ends_a_grandchild_in_another_session() {
    let script = "echo $$; setsid sh -c 'echo $$; sleep 1000 & echo $!; wait' & wait";
    let (finished, pids) = cancelled_after(script, 3).await;
    assert_eq!(finished.stop, Stop::Cancelled);
    assert!(pids.iter().all(|pid| !runs(*pid)), "{pids:?}");
}

#[tokio::test]
async fn cancelling_ends_an_orphan_that_ignores_term() {
    // The shell in between exits, so that parentage no longer leads to the sleeper.
    let stubborn = "trap '' TERM; echo $$; exec sleep 1000";
    let script = format!("echo $$; sh -c \"setsid sh -c \\\"{stubborn}\\\" &\"; sleep 1000");
    let (finished, pids) = cancelled_after(&script, 2).await;
    assert_eq!(finished.stop, Stop::Cancelled);
    assert!(pids.iter().all(|pid| !runs(*pid)), "{pids:?}");
}

#[tokio::test]
async fn a_server_left_behind_by_a_good_turn_is_ended_and_the_output_kept() {
    let script =
        "setsid sh -c 'echo $$; exec sleep 1000' & read never </dev/null; sleep 0.2; echo good";
    let (finished, lines) = lines_of(shell(script)).await;
    assert_eq!(finished.stop, Stop::Exited(ExitStatus::from_raw(0)));
    assert!(lines.contains(&"good".to_owned()), "{lines:?}");
    let server = lines.iter().find_map(|line| line.parse().ok()).map(Pid::from_raw).unwrap();
    assert!(!runs(server));
}

/// A program that ends its first thread, after which the system shows it as a zombie, and goes on in
/// another, beyond its parent and its session.
const WITHOUT_FIRST_THREAD: &str = "
import ctypes, os, platform, sys, threading, time
if os.fork(): sys.exit()
os.setsid()
first = os.getpid()
def go_on():
    while ' Z ' not in open(f'/proc/{first}/task/{first}/stat').read(): time.sleep(0.01)
    os.write(1, f'{first}\\n'.encode())
    time.sleep(1000)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)
";

#[tokio::test]
async fn a_process_whose_first_thread_has_ended_is_ended() {
    let script = format!("/usr/bin/python3 -c \"{WITHOUT_FIRST_THREAD}\"; sleep 1000");
    let (_, pids) = cancelled_after(&script, 1).await;
    let threads = format!("/proc/{}/task", pids[0]);
    let left = fs::read_dir(threads).map_or(0, Iterator::count);
    assert!(left <= 1, "{left} threads are left");
}

#[tokio::test]
async fn a_turn_over_its_time_is_ended() {
    let limits = Limits { turn: Duration::from_millis(300), ..LONG };
    let mut ignore = |_: &str| Next::Continue;
    let script = "while :; do echo busy; sleep 0.05; done";
    let finished = run(shell(script), limits, &CancellationToken::new(), &mut ignore).await;
    assert_eq!(finished.unwrap().stop, Stop::TimedOut);
}

#[tokio::test]
async fn silence_is_ended_and_lines_prevent_it() {
    let limits = Limits { stall: Duration::from_millis(500), ..LONG };
    let mut lines = 0;
    let mut count = |_: &str| {
        lines += 1;
        Next::Continue
    };
    let script = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done; sleep 1000";
    let finished = run(shell(script), limits, &CancellationToken::new(), &mut count).await;
    assert_eq!(finished.unwrap().stop, Stop::Stalled);
    assert_eq!(lines, 8);
}

#[tokio::test(start_paused = true)]
async fn silence_after_a_long_limit_is_ended_sooner_and_says_for_how_long_it_holds() {
    let hour = Duration::from_secs(3_600);
    let limits = Limits { turn: 2 * hour, stall: hour };
    let mut invocation = shell("sleep 1000");
    invocation.shut_out = ShutOutWatch::shut_out_for(hour);
    let mut ignore = |_: &str| Next::Continue;
    let finished = run(invocation, limits, &CancellationToken::new(), &mut ignore).await;
    let Stop::ShutOut(left) = finished.unwrap().stop else { panic!("not ended as shut out") };
    assert!(left > hour / 2 && left < hour, "{left:?}");
}

#[tokio::test]
async fn silence_after_what_may_be_the_last_line_is_the_end_and_a_further_line_says_otherwise() {
    let limits = Limits { stall: Duration::from_millis(500), ..LONG };
    for (script, stop) in [
        ("echo work; echo last; sleep 1000", Stop::HungAfterEnd),
        ("echo last; echo work; sleep 1000", Stop::Stalled),
    ] {
        let mut hear = |line: &str| match line {
            "last" => Next::PerhapsEnded,
            _ => Next::Continue,
        };
        let finished = run(shell(script), limits, &CancellationToken::new(), &mut hear).await;
        assert_eq!(finished.unwrap().stop, stop, "{script}");
    }
}

#[tokio::test]
async fn a_hopeless_process_is_killed_though_it_ignores_term() {
    let ending = Ending::Crashed("again".to_owned());
    let mut hopeless = |_: &str| Next::Hopeless(ending.clone());
    let script = "trap '' TERM; echo loop; while :; do sleep 1; done";
    let finished = run(shell(script), LONG, &CancellationToken::new(), &mut hopeless).await;
    assert_eq!(finished.unwrap().stop, Stop::Hopeless(ending));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let mut invocation = shell("");
    invocation.program = "no-such-coding-cli".into();
    let mut ignore = |_: &str| Next::Continue;
    let error = run(invocation, LONG, &CancellationToken::new(), &mut ignore).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
