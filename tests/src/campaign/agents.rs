//! Where the agents of the campaign report for duty: how often each job's agent ran is known from
//! the agents themselves. An agent that has reported goes on when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use api_client::JobId;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Exit code of an agent that could not report: the campaign then proves nothing.
pub(super) const CANNOT_REPORT: u8 = 97;

/// The agents of all scenes.
#[derive(Debug)]
pub(super) struct Agents {
    port: u16,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    reported: Mutex<BTreeMap<JobId, usize>>,
    held: watch::Sender<BTreeSet<JobId>>,
}

impl Agents {
    /// Waits for agents, on this host and in its containers.
    pub(super) async fn expect() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (held, _) = watch::channel(BTreeSet::new());
        let shared = Arc::new(Shared { reported: Mutex::default(), held });
        let task = tokio::spawn(receive(listener, Arc::clone(&shared)));
        Self { port, shared, _task: AbortOnDropHandle::new(task) }
    }

    /// What an agent does before anything else, as a script of the stub: it says which job it has,
    /// and waits until it may go on.
    pub(super) fn report_script(&self, host: &str) -> String {
        let port = self.port;
        format!(
            "bash -c 'exec 3<>/dev/tcp/{host}/$0 && echo $1 >&3 && read -r go <&3' \
             {port} $(field JOB_ID) || exit {CANNOT_REPORT}"
        )
    }

    /// How often agents ran for a job.
    pub(super) fn runs(&self, job: JobId) -> usize {
        self.shared.reported().get(&job).copied().unwrap_or(0)
    }

    /// Lets the agents of these jobs wait once they have reported.
    pub(super) fn hold(&self, jobs: &[JobId]) {
        self.shared.held.send_modify(|held| held.extend(jobs));
    }

    /// Lets them go on.
    pub(super) fn release(&self, jobs: &[JobId]) {
        self.shared.held.send_if_modified(|held| {
            let before = held.len();
            held.retain(|job| !jobs.contains(job));
            held.len() != before
        });
    }
}

impl Shared {
    fn reported(&self) -> MutexGuard<'_, BTreeMap<JobId, usize>> {
        self.reported.lock().expect("no one panics while it holds this")
    }
}

async fn receive(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((agent, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // An agent that is gone has nothing more to say.
            let _gone = answer(agent, &shared).await;
        });
    }
}

async fn answer(agent: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut agent = BufReader::new(agent);
    let mut line = String::new();
    agent.read_line(&mut line).await?;
    let Ok(job) = line.trim().parse::<JobId>() else { return Ok(()) };
    *shared.reported().entry(job).or_default() += 1;
    let mut held = shared.held.subscribe();
    let free = held.wait_for(|held| !held.contains(&job)).await.is_ok();
    if free { agent.write_all(b"go\n").await } else { Ok(()) }
}
