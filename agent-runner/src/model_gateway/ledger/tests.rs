use super::super::budget::{Limit, Price, Pricing};
use super::*;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input, cached: 0, output }
}

fn by_worker(input: u64, output: u64) -> Used {
    Used { worker: tokens(input, output), director: Tokens::default() }
}

fn ledger(limit: u64) -> Ledger {
    Ledger::new(Budget { tokens: Some(limit), pricing: None, ..Budget::default() })
}

#[test]
fn the_last_token_of_a_budget_may_be_used_and_no_other() {
    let ledger = ledger(100);
    ledger.admit(Payer::Worker, tokens(90, 0)).unwrap();
    assert_eq!(ledger.revise(Payer::Worker, tokens(90, 0), tokens(90, 9)), Standing::Within);
    assert!(!ledger.exhausted().is_cancelled());
    assert_eq!(ledger.revise(Payer::Worker, tokens(90, 9), tokens(90, 10)), Standing::Reached);
    assert!(ledger.exhausted().is_cancelled());
    assert_eq!(ledger.revise(Payer::Worker, tokens(90, 10), tokens(90, 11)), Standing::Exceeded);
    assert!(ledger.admit(Payer::Worker, tokens(0, 0)).is_err());
}

#[test]
fn a_call_without_room_for_an_answer_is_not_admitted() {
    let ledger = ledger(100);
    let refused = ledger.admit(Payer::Worker, tokens(100, 0)).unwrap_err();
    let (limit, used) = (Limit::Tokens(100), Tokens::default());
    assert_eq!(refused, Exhausted::NoRoom { limit, used, expected: 100 });
    assert_eq!(ledger.totals().calls, 0);
}

#[test]
fn money_is_counted_by_both_prices() {
    let pricing =
        Pricing { input: usd("3"), output: usd("15"), limit: Some(usd("0.018")), left: None };
    let ledger = Ledger::new(Budget { tokens: None, pricing: Some(pricing), ..Budget::default() });
    ledger.admit(Payer::Worker, tokens(1_000, 0)).unwrap();
    assert_eq!(
        ledger.revise(Payer::Worker, tokens(1_000, 0), tokens(1_000, 999)),
        Standing::Within
    );
    assert_eq!(
        ledger.revise(Payer::Worker, tokens(1_000, 999), tokens(1_000, 1_000)),
        Standing::Reached
    );
    let totals = ledger.totals();
    assert_eq!(totals.cost, Some(usd("0.018")));
    let how = totals.exhausted.unwrap().to_string();
    assert!(how.contains("allows 0.0180 USD") && how.contains("1000 out"), "{how}");
}

#[test]
fn the_limit_that_is_passed_first_is_the_one_that_is_named() {
    let pricing = Pricing { input: usd("1"), output: usd("1"), limit: Some(usd("1")), left: None };
    let budget = Budget { tokens: Some(10), pricing: Some(pricing), ..Budget::default() };
    assert!(matches!(budget.judge(by_worker(10, 0)), (Standing::Reached, Some(Limit::Tokens(10)))));
    let budget = Budget { tokens: Some(10_000_000), pricing: Some(pricing), ..Budget::default() };
    assert!(matches!(
        budget.judge(by_worker(0, 2_000_000)),
        (Standing::Exceeded, Some(Limit::Money { .. }))
    ));
}

#[test]
fn an_estimate_that_was_too_high_is_given_back() {
    let ledger = ledger(100);
    ledger.admit(Payer::Worker, tokens(90, 0)).unwrap();
    assert_eq!(ledger.revise(Payer::Worker, tokens(90, 0), tokens(10, 0)), Standing::Within);
    ledger.admit(Payer::Worker, tokens(80, 0)).unwrap();
    assert_eq!(ledger.totals().tokens, tokens(90, 0));
}

#[test]
fn worker_and_director_have_one_budget_and_each_its_prices() {
    let pricing =
        Pricing { input: usd("1"), output: usd("1"), limit: Some(usd("0.01")), left: None };
    let director = Some(Price { input: usd("10"), output: usd("20") });
    let ledger = Ledger::new(Budget {
        tokens: Some(5_000),
        pricing: Some(pricing),
        director,
        ..Budget::default()
    });
    ledger.admit(Payer::Worker, tokens(2_000, 0)).unwrap();
    ledger.admit(Payer::Director, tokens(500, 0)).unwrap();
    let answered = ledger.revise(Payer::Director, tokens(500, 0), tokens(500, 100));
    assert_eq!(answered, Standing::Within);
    let director = ledger.of_director();
    assert_eq!(
        (director.calls, director.tokens, director.cost),
        (1, tokens(500, 100), Some(usd("0.007")))
    );
    assert_eq!((ledger.totals().calls, ledger.totals().cost), (1, Some(usd("0.002"))));
    // 0.009 are spent, so that a thousand more of the worker's tokens would reach the limit.
    let refused = ledger.admit(Payer::Worker, tokens(1_000, 0)).unwrap_err();
    assert!(matches!(refused, Exhausted::NoRoom { limit: Limit::Money { .. }, .. }), "{refused}");
    assert!(refused.to_string().contains("spent are 0.0090 USD"), "{refused}");
    assert!(ledger.admit(Payer::Director, tokens(1, 0)).is_err());
}

#[test]
fn the_end_of_the_time_is_the_end_of_the_budget() {
    let ledger = Ledger::new(Budget::default());
    ledger.admit(Payer::Worker, tokens(7, 0)).unwrap();
    ledger.end_of_time(Duration::from_secs(60));
    assert!(ledger.exhausted().is_cancelled());
    let refused = ledger.admit(Payer::Director, tokens(1, 0)).unwrap_err().to_string();
    assert!(
        refused.starts_with("AGENT_TIME_BUDGET_SEC allows 60 s; used until then: 7"),
        "{refused}"
    );
}
