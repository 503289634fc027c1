//! What the integration tests stand on: the real programs with private state, a stub of the agent,
//! and proxies in front of the engine and the app that refuse, cut and record.
//!
//! Invariants: nothing outlives the value that owns it (processes, containers, images, mounts),
//! whether a test passes or panics; every wait is for a condition, with a deadline. What goes wrong
//! here panics: it is the test that failed.

mod agent_image;
mod answers;
mod app;
mod app_proxy;
mod check_image;
mod coordinator;
mod deployment;
mod engine;
mod engine_proxy;
mod full_disk;
mod host_agent;
mod inbox;
mod intercepting_proxy;
mod interceptor;
mod mode;
mod monitor;
mod once;
mod process;
mod program;
mod registry;
mod starts;
mod stub;
mod tar;
mod tls;
mod wait;
mod wiretap;

pub use agent_image::{AGENT_IMAGE, GO_IN_IMAGE, build_agent_image, cli_image, install_claude};
pub use app::{App, Job, KEY, LogRecord};
pub use app_proxy::{AppProxy, Exchange};
pub use check_image::{CHECK_IMAGE, NEAR_VERSION_IMAGE, OTHER_VERSION_IMAGE, build_check_images};
pub use coordinator::{Coordinator, Home};
pub(crate) use deployment::source_repository;
pub use deployment::{Deployment, Keys, SourceFile, repo_name};
pub(crate) use engine::at_the_end;
pub use engine::{COORDINATOR_LABEL, Engine, Image};
pub use engine_proxy::{Absence, EngineProxy, Moment};
pub use full_disk::FullDisk;
pub use host_agent::{process_runs, release_process, signal_process};
pub use inbox::{Inbox, Posted};
pub use intercepting_proxy::{InterceptingProxy, Login, ProxyRecord};
pub use interceptor::{Interceptor, Passage, Step, Watcher};
pub use mode::DockerMode;
pub use monitor::Monitor;
pub use once::{Ended, Once};
pub use process::{ArgvWatch, Memory, cpu_time, memory};
pub use program::{Running, program};
pub use registry::{PULLER, Registry, SlowWay};
pub use starts::Starts;
pub use stub::{STUB_IMAGE, StubRunner, release};
pub(crate) use tar::{File as TarFile, archive};
pub use tls::{CertificateAuthority, ClientFiles, TlsFront};
pub use wait::{DEADLINE, eventually, within};
pub use wiretap::EngineRequest;
