//! Judges a solution by assert tests, again and again, and prints what a judgement costs and what each call in it does.
//!
//! `cargo run --release -p code-interpreter --example judging -- [CALLS]`; takes some five seconds.
#![allow(clippy::print_stdout)] // an example's output is its purpose

use std::time::{Duration, Instant};

use code_interpreter::asserts::{AssertTests, judge};
use code_interpreter::{CallReply, Interpreter, Limits, Python};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calls: u32 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 5_000,
    };
    let python = Python::find()?;
    let mut tests = Interpreter::start(&python, Limits::default())?;
    let mut candidate = Interpreter::start(&python, Limits::default())?;

    let mut echo = |text: &str| CallReply::Text(text.into());
    let cell = format!("for _ in range({calls}): call_out('x')");
    let began = Instant::now();
    tests.run_with_calls(&[cell], &mut echo)?;
    println!("{:?} a call-out", began.elapsed() / calls);

    let mut judged = |repeats: u32| -> Result<Duration, Box<dyn std::error::Error>> {
        let asserts = AssertTests {
            code: format!("for n in range({repeats}):\n    assert total([n, 1, 2]) == n + 3"),
            entry_point: "total".into(),
        };
        let began = Instant::now();
        let solution = "def total(xs):\n    return sum(xs)";
        let result = judge(&mut tests, &mut candidate, solution, &asserts)?;
        assert!(result.verdict.is_correct(), "{}", result.verdict);
        Ok(began.elapsed())
    };
    judged(1)?; // the first loads what the judge needs
    let short = (0..50).map(|_| judged(1)).sum::<Result<Duration, _>>()? / 50;
    println!("{short:?} a judgement with one assert");
    println!("{:?} each assert more", (judged(calls)? - short) / calls);
    Ok(())
}
