//! The calls of the models, run by run.
//!
//! Invariant: each run begins with the call that was in flight when the one before it was killed, and no other call
//! is made twice.

use std::fmt;

use super::script::{TURNS, calls_in, turn_of};
use crate::llm::LlmRequest;

/// The calls of all runs, in their order.
#[derive(Debug, Default)]
pub(in crate::director) struct Calls {
    runs: Vec<Run>,
    /// The number of the worker's newest request that was noted.
    worker: u64,
    /// The Director's.
    director: u64,
    /// What the Director was asked, each question once.
    questions: Vec<String>,
    /// How many steps `resumed` were noted.
    resumed: usize,
}

/// The calls of one run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    /// The turns at which it says that it goes on: one, or none where it begins.
    resumed: Vec<usize>,
    worker: Vec<Call>,
    /// Calls of the worker's model in another session of the coding CLI than that of the first turn, or for no turn.
    others: usize,
    /// The questions to the Director, counted from 1 over all runs.
    director: Vec<usize>,
}

/// A call of the worker's model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    turn: usize,
    /// Which call of the turn in this run, from 1.
    number: usize,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    /// The container was killed meanwhile.
    InFlight,
}

impl Calls {
    /// Whether the worker's model, of which these are all requests, has a call of this run that gets no answer.
    pub(super) fn is_one_in_flight(&self, worker: &[LlmRequest]) -> bool {
        worker.iter().any(|call| call.number > self.worker && call.answer == "hang")
    }

    /// Adds a run that is over: what is new in all requests to both models, and in all steps `resumed` of the
    /// ticket's log.
    pub(super) fn note(
        &mut self,
        worker: &[LlmRequest],
        director: &[LlmRequest],
        resumed: &[String],
    ) {
        let said = resumed.iter().skip(self.resumed).filter_map(|step| resumed_turn(step));
        let mut run = Run { resumed: said.collect(), ..Run::default() };
        for request in worker.iter().filter(|one| one.number > self.worker && one.asks()) {
            let Some(turn) = turn_of(&request.body) else {
                run.others += 1;
                continue;
            };
            let number = run.worker.iter().filter(|call| call.turn == turn).count() + 1;
            let end = if request.answer == "hang" { End::InFlight } else { End::Answered };
            run.worker.push(Call { turn, number, end });
        }
        for request in director.iter().filter(|one| one.number > self.director && one.asks()) {
            let known = self.questions.iter().position(|asked| *asked == request.body);
            run.director.push(known.unwrap_or(self.questions.len()) + 1);
            if known.is_none() {
                self.questions.push(request.body.clone());
            }
        }
        self.runs.push(run);
        self.resumed = resumed.len();
        self.worker = worker.last().map_or(self.worker, |newest| newest.number);
        self.director = director.last().map_or(self.director, |newest| newest.number);
    }

    /// The runs that did not ask what they have to.
    pub(super) fn wrong(&self) -> Vec<String> {
        let is_wrong = |number: usize| self.runs.get(number - 1) != Some(&Run::expected(number));
        let runs = 1..=self.runs.len().max(TURNS + 1);
        let wrong = runs.filter(|number| is_wrong(*number));
        wrong.map(|number| format!("run {number} asks something else")).collect()
    }

    /// Whether a run before this one, counted from 0, made this call.
    fn is_again(&self, run: usize, call: &Call) -> bool {
        let is_same = |one: &Call| (one.turn, one.number) == (call.turn, call.number);
        self.runs.iter().take(run).flat_map(|run| &run.worker).any(is_same)
    }

    /// What a run asked of the worker's model.
    fn of_worker(&self, run: usize) -> String {
        let Some(asked) = self.runs.get(run) else { return String::new() };
        let told = |call: &Call| {
            let again = if self.is_again(run, call) { " again" } else { "" };
            let end = if call.end == End::InFlight { " in flight" } else { "" };
            format!("{}.{}{again}{end}", call.turn, call.number)
        };
        let mut told: Vec<String> = asked.worker.iter().map(told).collect();
        if asked.others > 0 {
            told.push(format!("others: {}", asked.others));
        }
        told.join(", ")
    }
}

impl Run {
    /// What the run of this number, from 1, has to ask: the turn in which the one before it was killed, what the
    /// Director says to that, and the next turn, in which it is killed itself.
    fn expected(number: usize) -> Self {
        let again = number - 1;
        let answered =
            (1..=calls_in(again)).map(|number| Call { turn: again, number, end: End::Answered });
        let killed = Call { turn: number, number: 1, end: End::InFlight };
        let worker = answered.chain((number <= TURNS).then_some(killed)).collect();
        // Nothing is kept before the first turn is over, and the Director judges from the plan on.
        let from_plan = again >= 2;
        Self {
            resumed: from_plan.then_some(again).into_iter().collect(),
            worker,
            others: 0,
            director: from_plan.then(|| again - 1).into_iter().collect(),
        }
    }
}

/// The turn of the worker that a step `resumed` names.
fn resumed_turn(summary: &str) -> Option<usize> {
    let (_, rest) = summary.split_once(" at turn ")?;
    rest.split(' ').next()?.parse().ok()
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = ["run", "goes on at", "worker: turn.call", "Director: question"];
        let line = |f: &mut fmt::Formatter<'_>, [run, at, worker, director]: [&str; 4]| {
            let line = format!("       {run:<4}{at:<12}{worker:<33} {director}");
            writeln!(f, "{}", line.trim_end())
        };
        line(f, titles)?;
        for (at, run) in self.runs.iter().enumerate() {
            let resumed: Vec<String> =
                run.resumed.iter().map(|turn| format!("turn {turn}")).collect();
            let director: Vec<String> = run.director.iter().map(usize::to_string).collect();
            let (number, worker) = ((at + 1).to_string(), self.of_worker(at));
            line(f, [&number, &resumed.join(", "), &worker, &director.join(", ")])?;
        }
        let calls = self.runs.iter().enumerate();
        let calls = calls.flat_map(|(at, run)| run.worker.iter().map(move |call| (at, call)));
        let all: Vec<(usize, &Call)> = calls.collect();
        let again = all.iter().filter(|(at, call)| self.is_again(*at, call)).count();
        let asked: usize = self.runs.iter().map(|run| run.director.len()).sum();
        write!(
            f,
            "       {} calls of the worker's model, {again} again; {asked} of the Director's, {} again",
            all.len(),
            asked - self.questions.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::PROMPTS;
    use super::*;

    /// What the models are asked in the ticket, in the order of the runs.
    const WORKER: [&[(usize, &str)]; TURNS + 1] = [
        &[(1, "hang")],
        &[(1, "text"), (2, "hang")],
        &[(2, "call write"), (2, "text"), (3, "hang")],
        &[(3, "call write"), (3, "text"), (4, "hang")],
        &[(4, "call write"), (4, "text"), (5, "hang")],
        &[(5, "call write"), (5, "text")],
    ];

    /// The models' records, which grow from run to run.
    #[derive(Default)]
    struct Record {
        worker: Vec<LlmRequest>,
        director: Vec<LlmRequest>,
        resumed: Vec<String>,
    }

    fn ask(record: &mut Vec<LlmRequest>, body: String, answer: &str) {
        let number = record.len() as u64 + 1;
        record.push(LlmRequest {
            number,
            body,
            answer: answer.to_owned(),
            ..LlmRequest::default()
        });
    }

    /// The calls of the ticket, where `more` adds to what a run, from 1, asks.
    fn calls(more: impl Fn(usize, &mut Record)) -> Calls {
        let (mut calls, mut record) = (Calls::default(), Record::default());
        for (at, asked) in WORKER.iter().enumerate() {
            for (turn, answer) in *asked {
                ask(&mut record.worker, conversation(*turn), answer);
            }
            if at >= 2 {
                ask(&mut record.director, format!("question {at}"), "said text");
                record.resumed.push(format!("the work goes on at turn {at} of the worker"));
            }
            more(at + 1, &mut record);
            calls.note(&record.worker, &record.director, &record.resumed);
        }
        calls
    }

    fn conversation(turn: usize) -> String {
        PROMPTS[..turn].join("\n")
    }

    #[test]
    fn the_ticket_is_told_as_a_table() {
        let calls = calls(|_, _| ());
        assert_eq!(calls.wrong(), [""; 0]);
        let expected = "\
       run goes on at  worker: turn.call                 Director: question
       1               1.1 in flight
       2               1.1 again, 2.1 in flight
       3   turn 2      2.1 again, 2.2, 3.1 in flight     1
       4   turn 3      3.1 again, 3.2, 4.1 in flight     2
       5   turn 4      4.1 again, 4.2, 5.1 in flight     3
       6   turn 5      5.1 again, 5.2                    4
       14 calls of the worker's model, 5 again; 4 of the Director's, 0 again";
        assert_eq!(calls.to_string().trim_start(), expected);
    }

    #[test]
    fn a_call_that_is_made_again_though_it_was_answered_is_wrong() {
        let calls = calls(|run, record| {
            if run == 4 {
                ask(&mut record.worker, conversation(2), "text");
            }
        });
        assert_eq!(calls.wrong(), ["run 4 asks something else"]);
        assert!(calls.to_string().contains("4.1 in flight, 2.1 again"), "{calls}");
    }

    #[test]
    fn a_question_that_is_asked_again_is_wrong() {
        let calls = calls(|run, record| {
            if run == 6 {
                ask(&mut record.director, "question 3".to_owned(), "said text");
            }
        });
        assert_eq!(calls.wrong(), ["run 6 asks something else"]);
        assert!(calls.to_string().ends_with("5 of the Director's, 1 again"), "{calls}");
    }

    #[test]
    fn another_session_of_the_coding_cli_is_wrong() {
        let calls = calls(|run, record| {
            if run == 5 {
                let newest = PROMPTS[3].to_owned();
                ask(&mut record.worker, newest, "text");
            }
        });
        assert_eq!(calls.wrong(), ["run 5 asks something else"]);
        assert!(calls.to_string().contains("others: 1"), "{calls}");
    }

    #[test]
    fn a_run_that_is_missing_is_wrong() {
        let mut calls = calls(|_, _| ());
        calls.runs.pop();
        assert_eq!(calls.wrong(), ["run 6 asks something else"]);
    }
}
