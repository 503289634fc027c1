//! `bench`: what the coordinator costs. From a claimed job to its running container, beside the
//! bare Engine API doing the same; and memory and processor time when there is nothing to do.
//!
//! A measurement, which passes whatever it finds. The two ways take turns, so that both meet the
//! same load; only figures of one run compare. Run it by `tests/bench`: with debug builds the
//! figures mean nothing.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends by panicking")]
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "what it prints is its purpose")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_client::{JobId, ProjectId};
use bollard::models::{ContainerCreateBody, NetworkCreateRequest};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use clap::Parser;
use integration_tests::harness::{
    App, AppProxy, Engine, EngineProxy, Home, Memory, Starts, cpu_time, eventually, memory,
};
use integration_tests::samples::Samples;
use tokio::io::AsyncWriteExt;

/// What the coordinator costs: claim to running container, and idle memory and processor time.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each way is measured.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long the coordinator is watched while it has nothing to do.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    idle_seconds: u32,
    /// The Docker modes whose starts are measured.
    #[arg(
        long,
        value_delimiter = ',',
        default_values = ["none", "dood", "dind-rootless", "dind-caps", "dind"]
    )]
    modes: Vec<String>,
}

/// What a container is given to do; it ends at once.
const SCRIPT: &str = "exit 0";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return };
    let app = App::start().await;
    app.set_script(SCRIPT).await;
    let proxy = AppProxy::start(&app.url()).await;

    eprintln!("idle for {} s", arguments.idle_seconds);
    let idle = idle(&proxy, arguments.idle_seconds).await;
    println!("claim to running container, ms                   n  median     min     max");
    let mut ratios = Vec::new();
    let mut kib = 0;
    for mode in &arguments.modes {
        eprintln!("{} starts by each way in mode {mode}", arguments.runs);
        let starts = measure_starts(&engine, &app, &proxy, mode, arguments.runs).await;
        let [coordinator, bare] = &starts.samples;
        println!("{mode:<14}through the coordinator    {coordinator}");
        println!("{mode:<14}bare Engine API            {bare}");
        ratios.push(coordinator.median() / bare.median());
        kib = kib.max(starts.kib);
    }
    println!("coordinator, KiB resident: {} idle, {kib} at most after the runs", idle.kib);
    for (mode, ratio) in arguments.modes.iter().zip(&ratios) {
        println!("mode={mode} ratio={ratio:.3}");
    }
    let ratio = ratios.first().copied().unwrap_or(f64::NAN);
    let (mib, cpu) = (kib_to_mib(idle.kib), idle.cpu_percent);
    println!("claim_to_running_ratio={ratio:.3} idle_rss_mib={mib:.1} idle_cpu_pct={cpu:.3}");
}

/// Where the engine listens.
const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// A coordinator with nothing to do.
struct Idle {
    kib: u64,
    cpu_percent: f64,
}

/// Watches a coordinator that has nothing to do, at the default poll interval.
async fn idle(proxy: &AppProxy, seconds: u32) -> Idle {
    let mut home = Home::new(&proxy.url());
    home.unset("POLL_INTERVAL_SEC").set("LOG_LEVEL", "info");
    let coordinator = home.start();
    eventually("the first question for a job", async || {
        (!proxy.exchanges("/jobs/start").is_empty()).then_some(())
    })
    .await;
    let before = cpu_time(coordinator.pid());
    let watched = Duration::from_secs(seconds.into());
    tokio::time::sleep(watched).await;
    let used = cpu_time(coordinator.pid()) - before;
    let Memory { now, .. } = memory(coordinator.pid());
    coordinator.terminate().await;
    Idle { kib: now, cpu_percent: 100.0 * used.as_secs_f64() / watched.as_secs_f64() }
}

struct Measured {
    /// Through the coordinator, and bare.
    samples: [Samples; 2],
    kib: u64,
}

async fn measure_starts(
    engine: &Engine,
    app: &App,
    proxy: &AppProxy,
    mode: &str,
    runs: u32,
) -> Measured {
    let project = app.add_project("http://forge.example/acme/demo").await;
    let volume = format!("terarchitect-bench-{}", uuid::Uuid::new_v4().simple());
    let mut home = Home::new(&proxy.url());
    home.set("AGENT_CACHE_VOLUME", &volume).set("AGENT_CACHE_SCOPE", "shared");
    home.set("AGENT_DOCKER_MODE", mode);
    home.set("POLL_INTERVAL_SEC", "0.5").set("LOG_LEVEL", "info");
    let spec = recorded_spec(&mut home, app, project).await;

    home.unset("DOCKER_HOST");
    let coordinator = home.start();
    let watch = Starts::watch(engine);
    let mut samples = [Samples::default(), Samples::default()];
    for run in 0..runs {
        // Whichever goes first may find the machine otherwise than the second.
        for way in [run % 2, (run + 1) % 2] {
            let took = match way {
                0 => through_the_coordinator(&home, app, project, proxy, &watch).await,
                _ => bare(engine, spec.clone(), &watch).await,
            };
            samples[way as usize].push(took);
        }
    }
    let Memory { now, .. } = memory(coordinator.pid());
    coordinator.terminate().await;
    Measured { samples, kib: now }
}

/// The container that the coordinator asks for, as it asks for it.
async fn recorded_spec(home: &mut Home, app: &App, project: ProjectId) -> ContainerCreateBody {
    let tap = EngineProxy::start();
    home.set("DOCKER_HOST", &tap.host());
    let coordinator = home.start();
    let job = app.add_job(project).await;
    assert_eq!(app.ended(job.job_id).await.status, "completed");
    settled(home).await;
    coordinator.terminate().await;
    let requests = tap.requests();
    let create = requests.iter().find(|request| request.path.contains("/containers/create"));
    let body = String::from_utf8(create.unwrap().body.clone()).unwrap();
    // With `dood` it names the engine's socket, which was the tap's here.
    let tapped = tap.host();
    let body = body.replace(tapped.trim_start_matches("unix://"), ENGINE_SOCKET);
    serde_json::from_str(&body).unwrap()
}

/// From the answer to the claim to the start of the container, by the engine's own clock.
async fn through_the_coordinator(
    home: &Home,
    app: &App,
    project: ProjectId,
    proxy: &AppProxy,
    watch: &Starts,
) -> f64 {
    let job = app.add_job(project).await;
    assert_eq!(app.ended(job.job_id).await.status, "completed");
    settled(home).await;
    let claims = proxy.claims();
    let claimed = claims.last().unwrap();
    assert_eq!(claimed.answer_field("job_id"), Some(job.job_id.to_string()));
    started(watch, job.job_id).await - millis(claimed.answered)
}

/// The same by the Engine API alone: make the network, create, attach, start, hand over the document.
async fn bare(engine: &Engine, mut spec: ContainerCreateBody, watch: &Starts) -> f64 {
    let docker = engine.docker();
    let job = JobId::random();
    let name = format!("terarchitect-{job}");
    let document = format!(r#"{{"WORKER_MODEL":"{SCRIPT}"}}"#);

    let begun = SystemTime::now();
    let request = NetworkCreateRequest { name: name.clone(), ..NetworkCreateRequest::default() };
    let network = docker.create_network(request).await.unwrap().id;
    if let Some(host) = &mut spec.host_config {
        host.network_mode = Some(network.clone());
    }
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    docker.create_container(Some(options), spec).await.unwrap();
    let options = AttachContainerOptionsBuilder::default().stdin(true).stream(true).build();
    let mut attached = docker.attach_container(&name, Some(options)).await.unwrap();
    docker.start_container(&name, None::<StartContainerOptions>).await.unwrap();
    attached.input.write_all(document.as_bytes()).await.unwrap();
    attached.input.shutdown().await.unwrap();

    let took = started(watch, job).await - millis(begun);
    eventually("the container's end", async || (!engine.runs(job).await).then_some(())).await;
    let options = RemoveContainerOptionsBuilder::default().v(true).force(true).build();
    docker.remove_container(&name, Some(options)).await.unwrap();
    docker.remove_network(&network).await.unwrap();
    took
}

/// When a container started, in milliseconds since 1970.
async fn started(watch: &Starts, job: JobId) -> f64 {
    let nanos = eventually("the engine to tell the start", async || watch.started(job)).await;
    nanos as f64 / 1e6
}

/// Waits until the coordinator has cleaned up after a job.
async fn settled(home: &Home) {
    eventually("the coordinator to settle", async || home.records().is_empty().then_some(())).await;
}

fn millis(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

fn kib_to_mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
