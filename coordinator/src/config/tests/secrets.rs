//! Secrets: as they are and in files, and never in any output.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use api_client::Redactor;
use api_client::wire::AgentEnv;

use super::{APP, ID, Sandbox, printed, setting_value};
use crate::config::{Form, Setting, agent_env, settings};
use crate::executable::executable;

/// The private key of an App.
const KEY_OF_APP: &str = include_str!("../../../../tests/testdata/github-app.pem");

/// A client's certificate, and its private key.
const CERTIFICATE_OF_CLIENT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/testdata/client.crt");
const KEY_OF_CLIENT: &str = include_str!("../../../../tests/testdata/client.key");

#[test]
fn credentials_in_the_url_of_the_app_are_refused_and_not_repeated() {
    let error = Sandbox::new([("TERARCHITECT_API_URL", "http://me:hunter2@app")]).error();
    assert!(error.contains("http://***@app"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn secrets_can_be_files_named_by_the_environment_or_the_file() {
    let mut sandbox = Sandbox::new([APP]);
    let key = sandbox.write("key", "the-worker-key\n", 0o600);
    let token = sandbox.write("token", "the-token\n", 0o600);
    sandbox.environment = sandbox.environment.with("TERARCHITECT_WORKER_API_KEY_FILE", &key);
    let sandbox = sandbox.file(&format!(
        "[app]\nworker_api_key_file = '/not/read'\n[agent]\ngithub_token_file = '{}'\n\
         [agent.env]\nOPENAI_API_KEY_FILE = '{}'",
        token.display(),
        key.display()
    ));
    let loaded = sandbox.load();
    assert_eq!(loaded.config.app.key, Some("the-worker-key".into()));
    assert_eq!(setting_value(&loaded, "GITHUB_TOKEN"), Some("the-token"));
    assert_eq!(setting_value(&loaded, "OPENAI_API_KEY"), Some("the-worker-key"));
    assert!(!loaded.notices.iter().any(|n| n.contains("holds a secret")));
}

#[test]
fn a_project_with_a_token_of_its_own_has_no_other_under_either_name() {
    for (general, own) in [("GITHUB_TOKEN", "GH_TOKEN"), ("GH_TOKEN", "GITHUB_TOKEN")] {
        let sandbox = Sandbox::new([APP, (general, "wide")])
            .file(&format!("[project.\"{ID}\".env]\n{own} = 'narrow'"));
        let loaded = sandbox.load();
        let settings = &loaded.config.agent_for(ID.parse().unwrap()).settings;
        for name in [general, own] {
            assert_eq!(settings.get(name), Some(&"narrow".into()), "{name} beside {own}");
            assert_eq!(setting_value(&loaded, name), Some("wide"));
        }
    }
}

#[test]
fn a_secret_given_twice_by_one_source_is_refused() {
    let twice = Sandbox::new([APP, ("GITHUB_TOKEN", "xyzzy"), ("GITHUB_TOKEN_FILE", "/x")]);
    assert_eq!(
        twice.error(),
        "GITHUB_TOKEN is given twice, by environment variable GITHUB_TOKEN and by environment \
         variable GITHUB_TOKEN_FILE: keep one of them"
    );
    let twice = Sandbox::new([APP])
        .file("[agent]\ngithub_token_file = '/x'\n[agent.env]\nGITHUB_TOKEN = 'xyzzy'");
    let error = twice.error();
    assert!(error.contains("[agent.env] GITHUB_TOKEN and by"), "{error}");
    assert!(!error.contains("xyzzy"), "{error}");
}

#[test]
fn a_secret_file_must_be_there_and_hold_one_line() {
    let named = |path: &Path| {
        let path = path.to_str().unwrap();
        Sandbox::new([APP, ("GITHUB_TOKEN_FILE", path)]).error()
    };
    let error = named(Path::new("/nowhere/token"));
    assert!(
        error.starts_with(
            "GITHUB_TOKEN (environment variable GITHUB_TOKEN_FILE): cannot read /nowhere/token: "
        ),
        "{error}"
    );
    let sandbox = Sandbox::new([]);
    let error = named(&sandbox.write("empty", "\n", 0o600));
    assert!(error.contains("a file that is not empty"), "{error}");
    let error = named(&sandbox.write("two", "first-line\nsecond-line\n", 0o600));
    assert!(error.ends_with("must be one line without control characters"));
    assert!(!error.contains("line\n"), "{error}");
}

#[test]
fn a_file_with_a_secret_that_everybody_can_read_is_warned_of() {
    let sandbox = Sandbox::new([APP]);
    let open = sandbox.write("token", "the-token", 0o644);
    let file = format!("[agent]\ngithub_token_file = '{}'\n[agent.env]\n", open.display());
    let sandbox = sandbox.file(&format!("{file}OPENAI_API_KEY = 'sk-x'\nGH_TOKEN = 'y'"));
    let config = sandbox.flags.config.clone().unwrap();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    let mut warned = sandbox.load().notices;
    warned.retain(|notice| notice.contains("every user of this machine can read it"));
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned[0].starts_with(&open.display().to_string()));
    assert!(warned[1].starts_with(&config.display().to_string()));

    let harmless = Sandbox::new([APP]).file("[agent.env]\nWORKER_MODE = 'opencode'");
    let config = harmless.flags.config.clone().unwrap();
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(!harmless.load().notices.concat().contains("every user"));
}

#[test]
fn no_secret_is_printed_in_any_form() {
    let secrets = settings().filter(|setting| setting.is_secret());
    let value = |setting: &Setting| match setting.name {
        "GITHUB_APP_PRIVATE_KEY" => KEY_OF_APP,
        "APP_CLIENT_KEY" => KEY_OF_CLIENT,
        "NOTIFY_WEBHOOK_URL" => "https://hooks.example/hunter2-secret",
        "OTEL_EXPORTER_OTLP_HEADERS" => "api-key=hunter2-secret",
        _ => "hunter2-secret",
    };
    let given: Vec<_> = secrets.map(|setting| (setting.name, value(setting))).collect();
    let proxy = ("HTTP_PROXY", "http://me:hunter2-secret@proxy:3128");
    let app = ("GITHUB_APP_ID", "1");
    let client = ("APP_CLIENT_CERT_FILE", CERTIFICATE_OF_CLIENT);
    let loaded = Sandbox::new(given.iter().copied().chain([APP, proxy, app, client])).load();
    let texts = [printed(&loaded, Form::Text), printed(&loaded, Form::Json), format!("{loaded:?}")];
    for text in &texts {
        assert!(!text.contains("hunter2") && !text.contains(&KEY_OF_APP[100..130]), "{text}");
        assert!(!text.contains(&KEY_OF_CLIENT[100..130]), "{text}");
    }
    for (name, _) in given {
        let mut lines = texts[0].lines().filter(|line| line.starts_with(&format!("{name} ")));
        assert!(lines.next().unwrap().contains("set (not shown)"), "{name}");
    }
    assert!(texts[0].contains("http://***@proxy:3128"));
}

#[test]
fn a_secret_comes_from_systemd_s_credentials_where_nothing_else_gives_it() {
    let mut sandbox = Sandbox::new([APP, ("OPENAI_API_KEY", "of-the-environment")]);
    let folder = sandbox.dir.path().to_owned();
    sandbox.write("GITHUB_TOKEN", "token-credential\n", 0o400);
    sandbox.write("terarchitect_worker_api_key", "key-credential\n", 0o400);
    sandbox.write("OPENAI_API_KEY", "not-read\n", 0o400);
    sandbox.environment = sandbox.environment.with("CREDENTIALS_DIRECTORY", &folder);
    let loaded = sandbox.load();
    assert_eq!(loaded.config.app.key, Some("key-credential".into()));
    assert_eq!(setting_value(&loaded, "GITHUB_TOKEN"), Some("token-credential"));
    assert_eq!(setting_value(&loaded, "OPENAI_API_KEY"), Some("of-the-environment"));
    let text = printed(&loaded, Form::Text);
    assert!(text.contains("set (not shown)"), "{text}");
    assert!(text.contains("systemd credential terarchitect_worker_api_key"), "{text}");

    sandbox.write("GITHUB_TOKEN", " \n", 0o600);
    let error = sandbox.error();
    assert!(error.starts_with("GITHUB_TOKEN (systemd credential GITHUB_TOKEN)"), "{error}");
}

/// A command that knows these secrets, and has trouble with another.
const VAULT: &str = "#!/bin/sh\ncase $1 in GITHUB_TOKEN) echo of-the-vault;; OPENAI_API_KEY) echo x;; \
    EMBEDDING_API_KEY) [ -e \"${0%/*}/sealed\" ] && { echo sealed >&2; exit 7; };; esac\nexit 0\n";

#[test]
fn a_command_is_asked_last_and_for_what_is_given_nowhere_else() {
    let mut sandbox = Sandbox::new([APP, ("OPENAI_API_KEY", "of-the-environment")]);
    let vault = sandbox.dir.path().join("vault");
    executable(&vault, VAULT);
    let key = sandbox.write("key", "of-the-file", 0o600);
    sandbox.environment = sandbox
        .environment
        .with("PATH", "/usr/bin:/bin")
        .with("TERARCHITECT_WORKER_API_KEY_FILE", &key);
    let sandbox = sandbox.file(&format!(
        "[secrets]\ncommand = '{}'\n[project.'b0acb5a0-d0bc-4738-89d0-347ecd318506']\nimage = 'x'",
        vault.display()
    ));
    let loaded = sandbox.load();
    assert_eq!(loaded.config.app.key, Some("of-the-file".into()));
    assert_eq!(setting_value(&loaded, "GITHUB_TOKEN"), Some("of-the-vault"));
    assert_eq!(setting_value(&loaded, "OPENAI_API_KEY"), Some("of-the-environment"));
    assert_eq!(setting_value(&loaded, "ANTHROPIC_API_KEY"), None);
    let text = printed(&loaded, Form::Text);
    assert!(text.contains(&format!("secret command {}", vault.display())), "{text}");

    sandbox.write("sealed", "", 0o600);
    let error = sandbox.error();
    let expected = format!("EMBEDDING_API_KEY (SECRET_COMMAND, {}): ended with", vault.display());
    assert!(error.starts_with(&expected) && error.ends_with("sealed"), "{error}");
}

#[test]
fn a_command_that_is_not_there_is_named_for_each_secret_that_it_should_tell() {
    let sandbox = Sandbox::new([APP, ("SECRET_COMMAND", "/nowhere/vault read")]);
    let errors = sandbox.errors();
    let secrets = settings().filter(|setting| setting.is_secret()).count();
    assert_eq!(errors.len(), secrets, "{errors:?}");
    assert!(errors[0].contains("/nowhere/vault): cannot be run: No such file"), "{errors:?}");
}

#[test]
fn the_key_of_an_app_is_a_pem_text_of_several_lines_and_its_parts_belong_together() {
    let sandbox = Sandbox::new([APP, ("GITHUB_APP_ID", "12")]);
    let errors = sandbox.error();
    assert!(errors.starts_with("GITHUB_APP_PRIVATE_KEY is not set"), "{errors}");
    let path = sandbox.write("key.pem", KEY_OF_APP, 0o600);
    let path = path.to_str().unwrap();
    let named = |name, value| Sandbox::new([APP, ("GITHUB_APP_ID", "12"), (name, value)]);
    let loaded = named("GITHUB_APP_PRIVATE_KEY_FILE", path).load();
    assert_eq!(loaded.config.github_app.unwrap().key, KEY_OF_APP.trim().into());
    let error = named("GITHUB_APP_PRIVATE_KEY", "hunter2").error();
    assert!(error.contains("must be the private key of the GitHub App"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_key_in_the_collector_s_headers_is_hidden_wherever_it_stands() {
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20hunter2-secret");
    let config = Sandbox::new([APP, headers]).load().config;
    let redactor = Redactor::new(config.secrets(&AgentEnv::default()));
    assert_eq!(redactor.redact("key hunter2-secret"), "key [redacted]");
}

#[test]
fn the_units_load_each_secret_of_the_coordinator_and_the_installation_page_names_its_file() {
    let page = include_str!("../../../../docs/install.md");
    for (unit, instance) in [
        (include_str!("../../../../systemd/terarchitect-coordinator.service"), ""),
        (include_str!("../../../../systemd/terarchitect-coordinator@.service"), "%i-"),
    ] {
        let loaded: Vec<_> = unit
            .lines()
            .filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':'))
            .collect();
        let of_agent = |name| agent_env::ALL.iter().any(|setting| setting.name == name);
        let secrets = settings().filter(|setting| setting.is_secret()).map(|setting| setting.name);
        let own = secrets.filter(|name| !of_agent(*name));
        for name in own.chain(["GITHUB_TOKEN", "WORKER_API_KEY"]) {
            let (_, file) = loaded.iter().find(|(loaded, _)| *loaded == name).expect(name);
            let file = file.replacen(instance, "", 1);
            let row = format!("| `/etc/credstore/{file}` | `{name}` |");
            assert!(page.contains(&row), "{row}");
        }
    }
}
