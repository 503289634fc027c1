//! What the repository's project file changes about the settings.
//!
//! Invariant: CLI and model are the repository's choice only where nobody above chose; limits become
//! stricter or stay.

use std::time::Duration;

use api_client::contract::env;

use super::{Layers, Settings, SettingsError, WorkerSettings};
use crate::model_gateway::{Budget, Pricing};
use crate::project_file::WorkerWishes;

impl Settings {
    /// Takes the wishes of the project file into account. To be called for every run: until then a
    /// model that nobody chose counts as one that the file may name.
    ///
    /// # Errors
    /// Of the first setting that cannot be used together with the file.
    pub(crate) fn heed(
        &mut self,
        layers: &mut Layers,
        wishes: &WorkerWishes,
    ) -> Result<(), SettingsError> {
        layers.add_project(wishes);
        let mut worker = WorkerSettings::read(layers)?;
        allowed(layers, &worker)?;
        let shorter =
            |limit: Duration, wish: Option<Duration>| wish.map_or(limit, |wish| limit.min(wish));
        worker.turn_limit = shorter(worker.turn_limit, wishes.turn_limit);
        worker.stall_limit = shorter(worker.stall_limit, wishes.stall_limit);
        worker.budget = lowered(worker.budget, wishes)?;
        self.worker = worker;
        Ok(())
    }
}

/// Whether the model is one that the operator allows, where the repository chose it.
fn allowed(layers: &Layers, worker: &WorkerSettings) -> Result<(), SettingsError> {
    let chosen =
        layers.find(env::WORKER_MODEL).filter(|_| layers.given(env::WORKER_MODEL).is_none());
    let (Some(chosen), Some(models)) = (chosen, &worker.models) else { return Ok(()) };
    if models.contains(&chosen.text()) {
        return Ok(());
    }
    let (shown, models) = (chosen.shown(), models.join(", "));
    Err(chosen.invalid(&format!("must be one of WORKER_MODELS ({models}), got {shown:?}")))
}

/// The stricter of both budgets.
fn lowered(budget: Budget, wishes: &WorkerWishes) -> Result<Budget, SettingsError> {
    let tokens = stricter(budget.tokens, wishes.tokens);
    let pricing = match (budget.pricing, wishes.money) {
        (Some(pricing), money) => {
            Some(Pricing { limit: stricter(pricing.limit, money), ..pricing })
        }
        (None, None) => None,
        (None, Some(_)) => {
            return Err(SettingsError::Missing {
                name: env::WORKER_PRICE_INPUT,
                purpose: "worker.money_budget in .terarchitect.toml is counted with \
                          WORKER_PRICE_INPUT and WORKER_PRICE_OUTPUT",
            });
        }
    };
    Ok(Budget { tokens, pricing, ..budget })
}

fn stricter<T: Ord>(ours: Option<T>, wish: Option<T>) -> Option<T> {
    match (ours, wish) {
        (Some(ours), Some(wish)) => Some(ours.min(wish)),
        (ours, wish) => ours.or(wish),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Handover;
    use super::*;
    use crate::model_gateway::Usd;

    const OPERATOR: [(&str, &str); 4] = [
        ("REPO_URL", "https://github.com/acme/demo"),
        ("GITHUB_TOKEN", "ghp_token"),
        ("WORKER_API_KEY", "sk-worker-key"),
        ("WORKER_LLM_URL", "http://127.0.0.1:5099"),
    ];

    fn heeded(more: &[(&str, &str)], wishes: &WorkerWishes) -> Result<Settings, SettingsError> {
        let all: Vec<_> = OPERATOR.iter().chain(more).copied().collect();
        let mut layers = Layers::new(Handover::of(&all, None)).unwrap();
        let mut settings = Settings::read(&layers, None)?;
        settings.heed(&mut layers, wishes).map(|()| settings)
    }

    fn wishes(file: &str) -> WorkerWishes {
        format!("[worker]\n{file}\n").parse::<crate::project_file::ProjectFile>().unwrap().worker
    }

    fn model_of(settings: &Settings) -> &str {
        settings.worker.cli.model().unwrap()
    }

    #[test]
    fn the_repository_chooses_where_nobody_above_did() {
        let file = wishes("mode = \"opencode\"\nmodel = \"of-the-file\"");
        assert_eq!(model_of(&heeded(&[], &file).unwrap()), "of-the-file");
        let given = heeded(&[("WORKER_MODEL", "of-the-operator")], &file).unwrap();
        assert_eq!(model_of(&given), "of-the-operator");
        let claude = heeded(&[], &wishes("mode = \"claude-code\"")).unwrap();
        assert_eq!(claude.worker.cli.name(), "claude-code");
        let given = heeded(
            &[("WORKER_MODE", "opencode"), ("WORKER_MODEL", "m")],
            &wishes("mode = \"claude-code\""),
        );
        assert_eq!(given.unwrap().worker.cli.name(), "opencode");
    }

    #[test]
    fn a_model_that_nobody_named_is_an_error_once_the_file_is_read() {
        let error = heeded(&[], &WorkerWishes::default()).unwrap_err().to_string();
        assert!(error.starts_with("WORKER_MODEL is not set"), "{error}");
    }

    #[test]
    fn a_wrong_mode_of_the_file_says_where_it_is() {
        let error = heeded(&[], &wishes("mode = \"dance\"")).unwrap_err().to_string();
        assert!(error.starts_with("WORKER_MODE (from .terarchitect.toml"), "{error}");
    }

    #[test]
    fn the_repository_cannot_choose_a_model_that_the_operator_does_not_allow() {
        let models = ("WORKER_MODELS", "small,medium");
        let error = heeded(&[models], &wishes("model = \"huge\"")).unwrap_err().to_string();
        assert!(error.contains("must be one of WORKER_MODELS (small, medium)"), "{error}");
        assert_eq!(model_of(&heeded(&[models], &wishes("model = \"small\"")).unwrap()), "small");
    }

    #[test]
    fn limits_can_only_be_lowered() {
        let given = [
            ("WORKER_MODEL", "m"),
            ("WORKER_TIMEOUT_SEC", "100"),
            ("WORKER_STALL_SEC", "50"),
            ("WORKER_TOKEN_BUDGET", "1000"),
            ("WORKER_MONEY_BUDGET", "2"),
            ("WORKER_PRICE_INPUT", "1"),
            ("WORKER_PRICE_OUTPUT", "1"),
        ];
        let limits = |file: &str| {
            let worker = heeded(&given, &wishes(file)).unwrap().worker;
            let money = worker.budget.pricing.unwrap().limit.unwrap();
            (worker.turn_limit.as_secs(), worker.stall_limit.as_secs(), worker.budget.tokens, money)
        };
        let usd = |text: &str| text.parse::<Usd>().unwrap();
        let lower = "timeout_sec = 10\nstall_sec = 5\ntoken_budget = 7\nmoney_budget = 1.5";
        assert_eq!(limits(lower), (10, 5, Some(7), usd("1.5")));
        let higher = "timeout_sec = 999\nstall_sec = 999\ntoken_budget = 9999\nmoney_budget = 9";
        assert_eq!(limits(higher), (100, 50, Some(1000), usd("2")));
    }

    #[test]
    fn a_limit_where_the_operator_has_none_counts() {
        let worker =
            heeded(&[("WORKER_MODEL", "m")], &wishes("token_budget = 7\ntimeout_sec = 86400"));
        let worker = worker.unwrap().worker;
        assert_eq!(worker.budget.tokens, Some(7));
        assert_eq!(worker.turn_limit, Duration::from_secs(3600), "the default is a limit too");
        let error = heeded(&[("WORKER_MODEL", "m")], &wishes("money_budget = 1")).unwrap_err();
        assert!(error.to_string().starts_with("WORKER_PRICE_INPUT is not set"), "{error}");
    }
}
