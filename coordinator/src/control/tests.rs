//! What the socket answers to operators, and to what is no operator's request.

use std::future::pending;

use super::*;
use crate::config::{self, Environment, Flags};
use crate::context::Mode;
use crate::daemon::Daemon;

/// A daemon that was made and does not run: its control socket alone is served.
struct Fixture {
    dir: tempfile::TempDir,
    ctx: Arc<Context>,
    _daemon: Daemon,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().to_str().unwrap();
        let environment = Environment::of([
            ("TERARCHITECT_API_URL", "http://localhost:9"),
            ("COORDINATOR_STATE_DIR", state_dir),
        ]);
        let config = config::load(&Flags::default(), &environment).unwrap().config;
        let daemon = Daemon::new(config, Mode::Forever).unwrap();
        Self { ctx: daemon.context(), dir, _daemon: daemon }
    }

    /// Serves the socket while this goes on, and until the server has ended in good order.
    async fn served<T>(&self, client: impl Future<Output = T>) -> T {
        let end = CancellationToken::new();
        let server = serve(listen(self.dir.path()).unwrap(), Arc::clone(&self.ctx), end.clone());
        let client = async {
            let done = client.await;
            end.cancel();
            done
        };
        tokio::join!(server, client).1
    }

    async fn ask(&self, request: Request) -> Answer {
        self.served(ask(self.dir.path(), request)).await.unwrap()
    }

    /// The answer to these very bytes.
    async fn send(&self, bytes: &[u8]) -> String {
        let talk = async {
            let stream = UnixStream::connect(socket(self.dir.path())).await.unwrap();
            let (from, mut to) = stream.into_split();
            // The server may have read enough before we have said it all.
            let _written = to.write_all(bytes).await;
            let mut line = String::new();
            BufReader::new(from).read_line(&mut line).await.unwrap();
            line
        };
        self.served(talk).await
    }
}

#[tokio::test]
async fn a_command_changes_the_gate_and_status_tells_so() {
    let fixture = Fixture::new();
    for (request, gate, name) in [
        (Request::Pause, GateState::Paused, "paused"),
        (Request::Drain, GateState::Draining, "draining"),
        (Request::Resume, GateState::Open, "open"),
    ] {
        assert!(matches!(fixture.ask(request).await, Answer::Done));
        assert_eq!(fixture.ctx.gate.current(), gate);
        let Answer::Status(status) = fixture.ask(Request::Status).await else { panic!() };
        assert_eq!(status.gate, name);
    }
}

#[tokio::test]
async fn what_is_no_request_gets_one_line_that_says_so_and_changes_nothing() {
    let fixture = Fixture::new();
    let long = [b'x'; 2 * REQUEST_MAX as usize];
    for (bytes, part) in [
        (&b"\n"[..], "not a request"),
        (b"pause\n", "not a request"),
        (b"\xff\xfe\n", "not a request"),
        (br#"{"command":"explode"}"#.as_slice(), "unknown variant `explode`"),
        (&long, "at most 4096 bytes"),
    ] {
        let line = match bytes.ends_with(b"\n") {
            true => fixture.send(bytes).await,
            false => fixture.send(&[bytes, b"\n"].concat()).await,
        };
        let answer: Answer = serde_json::from_str(&line).unwrap();
        let Answer::Refused { problem } = answer else { panic!("{line}") };
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(fixture.ctx.gate.current(), GateState::Open);
}

#[tokio::test]
async fn only_its_owner_may_open_the_socket_and_a_stale_one_is_replaced() {
    let fixture = Fixture::new();
    drop(listen(fixture.dir.path()).unwrap());
    let mode = async || {
        let about = fs::metadata(socket(fixture.dir.path())).unwrap();
        about.permissions().mode() & 0o777
    };
    assert_eq!(fixture.served(mode()).await, 0o600);
    assert!(!socket(fixture.dir.path()).exists());
}

#[tokio::test]
async fn where_no_coordinator_runs_the_operator_learns_which_directory_was_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    for stale in [false, true] {
        if stale {
            drop(listen(dir.path()).unwrap());
        }
        let error = ask(dir.path(), Request::Status).await.unwrap_err();
        assert!(matches!(error, ControlError::NotRunning { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
        assert!(message.contains("--state-dir"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_keeps_nobody_waiting_and_is_let_go() {
    let fixture = Fixture::new();
    let two = async {
        let silent = UnixStream::connect(socket(fixture.dir.path())).await.unwrap();
        ask(fixture.dir.path(), Request::Status).await.unwrap();
        let mut rest = Vec::new();
        let (mut from, _to) = silent.into_split();
        from.read_to_end(&mut rest).await.unwrap();
        rest
    };
    assert_eq!(fixture.served(two).await, b"");
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_silent_client() {
    let fixture = Fixture::new();
    let end = CancellationToken::new();
    let listener = listen(fixture.dir.path()).unwrap();
    let mut server = Box::pin(serve(listener, Arc::clone(&fixture.ctx), end.clone()));
    let connected = async {
        let _silent = UnixStream::connect(socket(fixture.dir.path())).await.unwrap();
        ask(fixture.dir.path(), Request::Status).await.unwrap();
        end.cancel();
        pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            () = &mut server => {}
            () = connected => {}
        }
    };
    timeout(PATIENCE / 2, ended).await.unwrap();
}
