//! When there is a Director, and of what.

use super::super::Handover;
use super::*;

const URL: (&str, &str) = ("AGENT_LLM_URL", "http://llm.example:8080");
const MODEL: (&str, &str) = ("AGENT_MODEL", "m");
const KEY: (&str, &str) = ("AGENT_API_KEY", "sk-1");
const ON: (&str, &str) = ("AGENT_DIRECTOR", "1");

fn read(settings: &[(&str, &str)]) -> Result<Option<DirectorSettings>, String> {
    let layers = Layers::new(Handover::of(settings, None)).unwrap();
    let read = DirectorSettings::read(&layers).map_err(|error| error.to_string())?;
    assert_eq!(is_there(&layers).unwrap(), read.is_some(), "{settings:?}");
    Ok(read)
}

fn switched_on(settings: &[(&str, &str)]) -> Result<DirectorModel, String> {
    let read = read(&[settings, &[ON]].concat());
    read.map(|settings| settings.expect("a Director").main)
}

fn by_default(settings: &[(&str, &str)]) -> Option<DirectorModel> {
    read(settings).unwrap().map(|settings| settings.main)
}

#[test]
fn a_model_with_an_address_or_a_key_is_a_director_unless_it_is_switched_off() {
    let with_url = by_default(&[MODEL, URL]).unwrap();
    assert_eq!((with_url.provider, with_url.key), (DirectorProvider::Custom, None));
    let with_key = by_default(&[MODEL, KEY]).unwrap();
    assert_eq!(with_key.url.as_str(), "https://api.openai.com/v1");
    for settings in [&[MODEL, URL][..], &[MODEL, KEY], &[URL]] {
        assert_eq!(by_default(&[settings, &[("AGENT_DIRECTOR", "0")]].concat()), None);
    }
}

#[test]
fn what_is_not_enough_for_a_director_makes_none_and_is_no_error() {
    let provider = |name| ("AGENT_PROVIDER", name);
    for settings in [
        &[][..],
        &[URL],
        &[URL, KEY, ("AGENT_MODEL", " ")],
        &[provider("openai")],
        &[provider("openai"), KEY],
        &[MODEL],
        &[MODEL, provider("anthropic")],
        &[MODEL, KEY, provider("custom")],
        &[MODEL, KEY, provider("vllm")],
        &[URL, provider("vllm")],
    ] {
        assert_eq!(by_default(settings), None, "{settings:?}");
    }
}

#[test]
fn a_provider_that_we_do_not_know_speaks_chat_completions_unless_one_is_insisted_on() {
    let settings = [MODEL, URL, ("AGENT_PROVIDER", "vllm")];
    assert_eq!(by_default(&settings).unwrap().provider, DirectorProvider::Custom);
    let error = switched_on(&settings).unwrap_err();
    assert!(error.contains("openai, anthropic, openrouter, custom, got \"vllm\""), "{error}");
}

#[test]
fn a_director_that_is_switched_on_is_there_or_an_error() {
    let error = switched_on(&[]).unwrap_err();
    assert!(error.starts_with("AGENT_MODEL is not set"), "{error}");
    assert_eq!(switched_on(&[MODEL, URL]), Ok(by_default(&[MODEL, URL]).unwrap()));
}

#[test]
fn a_value_that_cannot_be_read_is_an_error_by_default_as_well() {
    let error = read(&[MODEL, ("AGENT_LLM_URL", "llm.example")]).unwrap_err();
    assert!(error.starts_with("AGENT_LLM_URL"), "{error}");
    let layers = Layers::new(Handover::of(&[("AGENT_DIRECTOR", "yes")], None)).unwrap();
    let error = DirectorSettings::read(&layers).unwrap_err().to_string();
    assert!(error.contains("must be 1 or 0"), "{error}");
}

#[test]
fn a_provider_has_its_usual_address_and_wants_a_key() {
    for (provider, url) in [
        ("openai", "https://api.openai.com/v1"),
        ("anthropic", "https://api.anthropic.com/"),
        ("OpenRouter", "https://openrouter.ai/api/v1"),
    ] {
        let provider = ("AGENT_PROVIDER", provider);
        assert_eq!(by_default(&[MODEL, KEY, provider]).unwrap().url.as_str(), url);
        let error = switched_on(&[MODEL, provider]).unwrap_err();
        assert!(error.starts_with("AGENT_API_KEY is not set"), "{error}");
    }
    let error = switched_on(&[MODEL, ("AGENT_PROVIDER", "custom")]).unwrap_err();
    assert!(error.starts_with("AGENT_LLM_URL is not set"), "{error}");
}

#[test]
fn an_endpoint_of_ones_own_needs_a_model_and_may_need_no_key() {
    let error = switched_on(&[URL]).unwrap_err();
    assert!(error.starts_with("AGENT_MODEL is not set"), "{error}");
    let main = switched_on(&[URL, MODEL]).unwrap();
    assert_eq!((main.provider, main.key), (DirectorProvider::Custom, None));
    let anthropic = switched_on(&[URL, MODEL, ("AGENT_PROVIDER", "anthropic")]).unwrap();
    assert_eq!(anthropic.provider.wire(), Wire::Anthropic);
}

#[test]
fn limits_have_defaults_and_are_whole_numbers() {
    let settings = read(&[MODEL, URL]).unwrap().unwrap();
    assert_eq!((settings.turns, settings.plan_reviews, settings.output), (50, 5, 4096));
    assert_eq!(settings.review_turns, 20);
    assert_eq!(settings.fallbacks, []);
    for name in ["AGENT_MAX_TURNS", "AGENT_MAX_PLAN_REVIEWS", "AGENT_MAX_OUTPUT"] {
        let error = read(&[MODEL, URL, (name, "0")]).unwrap_err();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn a_fallback_is_a_model_of_its_own() {
    let settings = read(&[
        URL,
        MODEL,
        ("AGENT_FALLBACK_PROVIDER", "anthropic"),
        ("AGENT_FALLBACK_MODEL", "other"),
        ("AGENT_FALLBACK_API_KEY", "sk-2"),
    ]);
    let fallbacks = settings.unwrap().unwrap().fallbacks;
    assert_eq!(fallbacks[0].url.as_str(), "https://api.anthropic.com/");
    assert_eq!((fallbacks.len(), fallbacks[0].model.as_str()), (1, "other"));
}
