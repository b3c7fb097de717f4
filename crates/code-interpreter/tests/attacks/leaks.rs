//! Many runs leave the machine as they found it.

use std::fs;

use code_interpreter::{Interpreter, Protection};

use crate::alone;
use crate::suite::{limits, python_at};
use test_support::skip;

/// Resident memory of the driver in bytes, its children, and the folders that interpreters have made.
fn weigh(driver: u32) -> (u64, usize, usize) {
    let statm = fs::read_to_string(format!("/proc/{driver}/statm")).unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    let children =
        fs::read_to_string(format!("/proc/{driver}/task/{driver}/children")).unwrap_or_default();
    let mine = format!("code-interpreter-{}-", std::process::id());
    let folders = fs::read_dir(std::env::temp_dir())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine))
        .count();
    (pages * 4096, children.split_whitespace().count(), folders)
}

fn run_many(runs: usize) {
    let _alone = alone();
    let python = match python_at(Protection::Full) {
        Ok(python) => python,
        Err(reason) => return skip(&reason),
    };
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    let driver = interpreter.driver_pid().unwrap();
    let mut run = |n: usize| {
        let cells = [
            format!("import os\nopen('f', 'w').write('x' * 1000)\nx = {n}"),
            "if os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(100)\nx + 1"
                .into(),
        ];
        let shown = interpreter.run(&cells).unwrap();
        assert_eq!(shown[1].output, (n + 1).to_string());
        if n.is_multiple_of(10) {
            let run = interpreter
                .run_program("print(input())", &"y".repeat(100_000))
                .unwrap();
            assert_eq!(run.stdout.len(), 100_001);
        }
    };
    (0..100).for_each(&mut run);
    let before = weigh(driver);
    (0..runs).for_each(&mut run);
    let after = weigh(driver);
    println!("{runs} runs: {before:?} before, {after:?} after (bytes, children, folders)");
    // No folder even while it runs: nobody has to be alive to remove one.
    assert_eq!((after.1, after.2), (0, 0));
    assert!(
        after.0 <= before.0 + (1 << 20),
        "the driver grew from {} to {} bytes",
        before.0,
        after.0
    );
}

#[test]
fn three_hundred_runs_leave_memory_processes_and_folders_flat() {
    run_many(300);
}

#[test]
#[ignore = "two minutes"]
fn ten_thousand_runs_leave_memory_processes_and_folders_flat() {
    run_many(10_000);
}
