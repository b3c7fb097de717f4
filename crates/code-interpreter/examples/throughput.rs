//! Runs thousands of one-line programs in a pool at the best level of protection, and prints how many it does in a second,
//! how long the first answer takes and what a cell costs.
//!
//! `cargo run --release -p code-interpreter --example throughput -- [RUNS] [POOL SIZE]`; takes some ten seconds.
#![allow(clippy::print_stdout)] // an example's output is its purpose

use std::time::Instant;

use code_interpreter::{Error, Interpreter, Limits, Pool, Python, Session, Status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().map_or(Ok(2_000), |text| text.parse())?;
    let size = match arguments.next() {
        Some(text) => text.parse()?,
        None => std::thread::available_parallelism()?.get(),
    };

    let python = Python::find()?;
    let mut starts: Vec<f64> = (0..5)
        .map(|_| {
            let began = Instant::now();
            let mut cold = Interpreter::start(&python, Limits::default())?;
            cold.run(&["1"])?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        })
        .collect::<Result<_, Error>>()?;
    starts.sort_by(f64::total_cmp);
    println!(
        "{:.0} ms to the first answer of an interpreter, probes included",
        starts[2]
    );

    let pool = Pool::start(&python, Limits::default(), size)?;
    println!("{python}, {size} interpreters, {}", pool.safeguards());

    let jobs: Vec<Vec<String>> = (0..runs)
        .map(|n| vec![format!("x = {n}\nprint(x + 1)")])
        .collect();
    let began = Instant::now();
    let answers = pool.run_all(&jobs)?;
    let seconds = began.elapsed().as_secs_f64();
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(
            (answer[0].output.as_str(), &answer[0].status),
            ((n + 1).to_string().as_str(), &Status::Ok)
        );
    }
    println!(
        "{:.0} runs/s, each in a fresh process ({runs} in {seconds:.2} s)",
        runs as f64 / seconds
    );

    let began = Instant::now();
    pool.check_syntax_all(&jobs.iter().map(|job| &job[0]).collect::<Vec<_>>())?;
    println!(
        "{:.0} syntax checks/s",
        runs as f64 / began.elapsed().as_secs_f64()
    );

    let mut session = Session::start(&python, Limits::default())?;
    session.execute("x = 0")?;
    let began = Instant::now();
    for _ in 0..runs {
        session.execute("x += 1")?;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{:.0} cells/s in one session: {:.2} ms each",
        runs as f64 / seconds,
        seconds * 1e3 / runs as f64
    );
    assert_eq!(session.execute("x")?.output, runs.to_string());
    Ok(())
}
