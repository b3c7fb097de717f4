//! Runs thousands of one-line programs in a pool and prints how many it does in a second.
//!
//! `cargo run --release -p code-interpreter --example throughput -- [RUNS] [POOL SIZE]`; takes some ten seconds.
#![allow(clippy::print_stdout)] // an example's output is its purpose

use std::time::Instant;

use code_interpreter::{Limits, Pool, Python, Session, Status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().map_or(Ok(2_000), |text| text.parse())?;
    let size = match arguments.next() {
        Some(text) => text.parse()?,
        None => std::thread::available_parallelism()?.get(),
    };

    let python = Python::find()?;
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
    println!(
        "{:.0} cells/s in one session",
        runs as f64 / began.elapsed().as_secs_f64()
    );
    assert_eq!(session.execute("x")?.output, runs.to_string());
    Ok(())
}
