//! Names of the environment variables of a job, as the original agent reads them.

/// Base URL of the app, as seen from where the agent runs.
pub const API_URL: &str = "TERARCHITECT_API_URL";
/// Bearer key of the worker API (secret).
pub const WORKER_API_KEY: &str = "TERARCHITECT_WORKER_API_KEY";
/// Id of the job.
pub const JOB_ID: &str = "JOB_ID";
/// The claim by which the job is held, where the app offers leases: the agent renews it before
/// it publishes anything.
pub const CLAIM_ID: &str = "CLAIM_ID";
/// `ticket` or `review`.
pub const JOB_KIND: &str = "JOB_KIND";
/// Id of the ticket.
pub const TICKET_ID: &str = "TICKET_ID";
/// Id of the project.
pub const PROJECT_ID: &str = "PROJECT_ID";
/// HTTP(S) URL of the repository, without credentials.
pub const REPO_URL: &str = "REPO_URL";
/// Free text of the work, for a run without an app.
pub const TASK: &str = "TASK";
/// Token of the forge (secret). `GH_TOKEN` is its other name.
pub const GITHUB_TOKEN: &str = "GITHUB_TOKEN";
/// The other name of [`GITHUB_TOKEN`].
pub const GH_TOKEN: &str = "GH_TOKEN";
/// Path of the Unix socket at which the runner takes a new [`GITHUB_TOKEN`] while it runs, in a
/// folder of its own that it makes (mode 0700); one that is not absolute is meant within the
/// folder for temporary files (`TMPDIR`). What is written there, and answered, is one line:
/// a [`JobDocument`](super::JobDocument), and [`REFRESHED_LINE`](super::REFRESHED_LINE).
pub const REFRESH_SOCKET: &str = "AGENT_REFRESH_SOCKET";
/// `github`, `gitea` or `gitlab`: which forge the repository is on, where its address does not tell.
pub const FORGE: &str = "FORGE";
/// Base URL of the forge's REST API, where it is not the usual one.
pub const FORGE_API_URL: &str = "FORGE_API_URL";
/// Number of the pull request of a review job.
pub const PR_NUMBER: &str = "PR_NUMBER";
/// Text of the review comment of a review job.
pub const COMMENT_BODY: &str = "COMMENT_BODY";
/// Id of the review comment on the forge.
pub const GITHUB_COMMENT_ID: &str = "GITHUB_COMMENT_ID";
/// A repository on this machine to work from, in a git worktree of it, instead of a clone.
pub const AGENT_WORKSPACE: &str = "AGENT_WORKSPACE";
/// `opencode`, `claude-code`, `codex`, `gemini` or `aider`: the coding CLI.
pub const WORKER_MODE: &str = "WORKER_MODE";
/// Base URL of the worker's model endpoint.
pub const WORKER_LLM_URL: &str = "WORKER_LLM_URL";
/// Model of the worker.
pub const WORKER_MODEL: &str = "WORKER_MODEL";
/// Key of the worker's model endpoint (secret).
pub const WORKER_LLM_KEY: &str = "WORKER_API_KEY";
/// Base URL of the model endpoint that stands in while the worker's gives no answer.
pub const WORKER_FALLBACK_URL: &str = "WORKER_FALLBACK_URL";
/// Key of that endpoint (secret).
pub const WORKER_FALLBACK_KEY: &str = "WORKER_FALLBACK_API_KEY";
/// Model that is asked for there, where it has another name.
pub const WORKER_FALLBACK_MODEL: &str = "WORKER_FALLBACK_MODEL";
/// Further models that may be asked, separated by commas; all where it is not set.
pub const WORKER_MODELS: &str = "WORKER_MODELS";
/// Tokens that the worker's model may read and write in one job.
pub const WORKER_TOKEN_BUDGET: &str = "WORKER_TOKEN_BUDGET";
/// What the worker's model may cost in one job, in US dollars.
pub const WORKER_MONEY_BUDGET: &str = "WORKER_MONEY_BUDGET";
/// How many tokens this claim may take, whatever earlier tries of the job took: what is left of the project's day.
pub const WORKER_TOKENS_LEFT: &str = "WORKER_TOKENS_LEFT";
/// The same of money, in US dollars.
pub const WORKER_MONEY_LEFT: &str = "WORKER_MONEY_LEFT";
/// Price of a million tokens that the worker's model reads, in US dollars.
pub const WORKER_PRICE_INPUT: &str = "WORKER_PRICE_INPUT";
/// Price of a million tokens that the worker's model writes, in US dollars.
pub const WORKER_PRICE_OUTPUT: &str = "WORKER_PRICE_OUTPUT";
/// What callers of a model gateway show in the place of the real key (secret).
pub const MODEL_GATEWAY_KEY: &str = "MODEL_GATEWAY_KEY";
/// Longest time for one turn of the worker, in seconds.
pub const WORKER_TIMEOUT_SEC: &str = "WORKER_TIMEOUT_SEC";
/// `openai`, `anthropic`, `openrouter` or `custom`: who has the Director's model, and with it the
/// protocol and the usual address. Another name counts as `custom` unless [`AGENT_DIRECTOR`] is `1`.
pub const AGENT_PROVIDER: &str = "AGENT_PROVIDER";
/// Base URL of the Director's model endpoint.
pub const AGENT_LLM_URL: &str = "AGENT_LLM_URL";
/// Model of the Director.
pub const AGENT_MODEL: &str = "AGENT_MODEL";
/// Key of the Director's model endpoint (secret).
pub const AGENT_LLM_KEY: &str = "AGENT_API_KEY";
/// Who has the model that stands in while the Director's gives no answer.
pub const AGENT_FALLBACK_PROVIDER: &str = "AGENT_FALLBACK_PROVIDER";
/// Base URL of that model's endpoint.
pub const AGENT_FALLBACK_URL: &str = "AGENT_FALLBACK_URL";
/// That model.
pub const AGENT_FALLBACK_MODEL: &str = "AGENT_FALLBACK_MODEL";
/// Key of that endpoint (secret).
pub const AGENT_FALLBACK_KEY: &str = "AGENT_FALLBACK_API_KEY";
/// Longest time for one call of the Director's model, in seconds.
pub const AGENT_TIMEOUT_SEC: &str = "AGENT_TIMEOUT_SEC";
/// Most tokens that one answer of the Director may have.
pub const AGENT_MAX_OUTPUT: &str = "AGENT_MAX_OUTPUT";
/// Most tokens that one question to the Director has.
pub const AGENT_MAX_CONTEXT: &str = "AGENT_MAX_CONTEXT";
/// Most turns of the worker under a Director, those before the work itself not among them.
pub const AGENT_MAX_TURNS: &str = "AGENT_MAX_TURNS";
/// How often the Director looks at a plan at most.
pub const AGENT_MAX_PLAN_REVIEWS: &str = "AGENT_MAX_PLAN_REVIEWS";
/// Longest time for the turns of the worker together, in seconds from the beginning of the set-up; a command of
/// the repository that runs then is not ended by it.
pub const AGENT_TIME_BUDGET_SEC: &str = "AGENT_TIME_BUDGET_SEC";
/// Price of a million tokens that the Director's model reads, in US dollars.
pub const AGENT_PRICE_INPUT: &str = "AGENT_PRICE_INPUT";
/// Price of a million tokens that the Director's model writes, in US dollars.
pub const AGENT_PRICE_OUTPUT: &str = "AGENT_PRICE_OUTPUT";
/// Folder with prompts that replace those of the runner. Not the app's to set.
pub const AGENT_PROMPTS_DIR: &str = "AGENT_PROMPTS_DIR";
/// Name of the author of commits.
pub const GIT_USER_NAME: &str = "GIT_USER_NAME";
/// E-mail address of the author of commits.
pub const GIT_USER_EMAIL: &str = "GIT_USER_EMAIL";
/// Why the container could not be started, when the job runs on the host instead.
pub const DOCKER_RUN_ERROR: &str = "TERARCHITECT_DOCKER_RUN_ERROR";
/// `dind`, `dind-caps`, `dind-rootless`, `dood` or `none`: which Docker the agent may use.
pub const AGENT_DOCKER_MODE: &str = "AGENT_DOCKER_MODE";
/// Set where what the agent's own Docker daemon has is kept for the project's next job.
pub const AGENT_CACHE_DOCKER: &str = "AGENT_CACHE_DOCKER";
/// `1` where the agent may keep mirrors of git repositories in its cache.
pub const AGENT_CACHE_GIT: &str = "AGENT_CACHE_GIT";
/// `open`, `allowlist` or `none`: what a gateway lets through.
pub const AGENT_EGRESS: &str = "AGENT_EGRESS";
/// The hosts that a gateway lets through, separated by commas: `name`, `name:port`, `.name`.
pub const AGENT_EGRESS_ALLOW: &str = "AGENT_EGRESS_ALLOW";
/// Those of them that may have private addresses: the job's own.
pub const AGENT_EGRESS_TRUSTED: &str = "AGENT_EGRESS_TRUSTED";
/// `1` where a gateway lets everything through, and lists it.
pub const AGENT_EGRESS_LEARN: &str = "AGENT_EGRESS_LEARN";
/// `1` in the environment of a run that the coordinator starts on the host: the agent stays who it
/// is started as. Elsewhere root gives the coding CLI a user of its own. It counts in the
/// environment alone, so that no project's settings can say it.
pub const AGENT_ON_HOST: &str = "AGENT_ON_HOST";
/// Whose comments a review job answers: associations (`OWNER`, `MEMBER`, …) and logins, with commas between.
pub const AGENT_REVIEW_AUTHORS: &str = "AGENT_REVIEW_AUTHORS";
/// What seals the notes that reviews leave in pull requests, so that a later run with another token of the forge can
/// read them. Without it that token does.
pub const AGENT_REVIEW_KEY: &str = "AGENT_REVIEW_KEY";
/// `1` or `0`: whether a run that cannot deliver saves what there is on a branch of its own.
pub const AGENT_RESCUE: &str = "AGENT_RESCUE";
/// Whether a second model, the Director, steers the worker: `1`, `0`, or not set, and then it does where
/// [`AGENT_MODEL`] is set together with [`AGENT_LLM_URL`], or with [`AGENT_LLM_KEY`] of a provider that has a usual
/// address.
pub const AGENT_DIRECTOR: &str = "AGENT_DIRECTOR";
/// Whether a run asks the project's memory and adds to it: `1` or `0`.
pub const AGENT_PROJECT_MEMORY: &str = "AGENT_PROJECT_MEMORY";
/// Folder in which a run leaves what the next run of its ticket needs to go on where this one was; nothing is kept
/// where it is not set. It counts in the environment alone, so that no project's settings can name it.
pub const AGENT_STATE_DIR: &str = "AGENT_STATE_DIR";
/// File into which the runner writes an [`OutcomeDocument`](crate::outcome::OutcomeDocument) at its
/// end: the folder is there, the file is replaced as a whole. Not the app's to set.
pub const OUTCOME_FILE: &str = "AGENT_OUTCOME_FILE";
/// File into which the runner writes what the coding CLI wrote, turn by turn (JSON lines, at most
/// [`TRANSCRIPT_MAX_BYTES`](super::TRANSCRIPT_MAX_BYTES)): the folder is there. Not the app's to set.
pub const TRANSCRIPT_FILE: &str = "AGENT_TRANSCRIPT_FILE";
/// The image that a run in a container was started from, for its outcome: `name@sha256:…`, or
/// `name (sha256:…)` where the engine built it.
pub const AGENT_IMAGE: &str = "AGENT_IMAGE";
/// Certificates (PEM) that are trusted beside the system's, by the runner and by what it starts. Not
/// the app's to set.
pub const EXTRA_CA: &str = "EXTRA_CA_PEM";
/// The certificate (PEM, with its chain) that is shown to an app that asks for one. Not the app's to
/// set.
pub const APP_CLIENT_CERT: &str = "APP_CLIENT_CERT";
/// Its private key (PEM, secret).
pub const APP_CLIENT_KEY: &str = "APP_CLIENT_KEY";
/// Proxy for `http` URLs. Programs differ in which spelling they read; see [`PROXIES`](super::PROXIES).
pub const HTTP_PROXY: &str = "HTTP_PROXY";
/// Proxy for `https` URLs.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
/// Hosts that are reached without a proxy.
pub const NO_PROXY: &str = "NO_PROXY";
/// The span that a run's own spans are parts of, as W3C's Trace Context writes it. Not the app's to set.
pub const TRACEPARENT: &str = "TRACEPARENT";
/// Base URL of the collector that an agent sends its spans to (OTLP over HTTP, JSON).
pub const AGENT_OTLP_ENDPOINT: &str = "AGENT_OTLP_ENDPOINT";
/// The same by its usual name: what the coordinator uses for itself, and a run without one.
pub const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Headers for that collector (secret).
pub const OTLP_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// The filter of a run's log, in the form of `RUST_LOG`.
pub const LOG_LEVEL: &str = "LOG_LEVEL";
/// `pretty` or `json`: the form of a run's log.
pub const LOG_FORMAT: &str = "LOG_FORMAT";
/// `stdin` when a [`JobDocument`](super::JobDocument) is to be read from standard input.
pub const JOB_DOCUMENT: &str = "TERARCHITECT_JOB_DOCUMENT";
