//! Programs against test cases, and pools.

use std::time::Duration;

use crate::support::{hasty, limits, start, unisolated};
use code_interpreter::cases::{
    Case, CaseOptions, Comparison, Outcome, WhiteSpace, run_cases, verdict,
};
use code_interpreter::{Error, Interpreter, Limits, Pool, Python, Status, Verdict};
use proptest::prelude::*;

#[test]
fn each_case_gets_its_own_outcome() {
    let program = "import os, sys, time\nword = input()\nif word == 'echo': print(word)\n\
                   elif word == 'raise': raise KeyError(word)\nelif word == 'exit': sys.exit(2)\n\
                   elif word == 'sleep': time.sleep(100)\nelif word == 'memory': bytearray(10 * 1024**3)\n\
                   elif word == 'print':\n    while True: print(word)\nelif word == 'die': os._exit(1)\n\
                   elif word == 'kill': os.kill(os.getpid(), 9)\n";
    let words = [
        "echo", "other", "raise", "exit", "sleep", "memory", "print", "die", "kill",
    ];
    let cases: Vec<Case> = words
        .iter()
        .map(|word| Case::new(*word, "echo"))
        .chain([Case::new("", "")])
        .collect();
    let results = run_cases(
        &mut start(hasty()),
        program,
        &cases,
        &CaseOptions::default(),
    )
    .unwrap();
    let other = Comparison::default().difference("echo", "").unwrap();
    assert_eq!(
        verdict(&results),
        Verdict::incorrect(format!("case 2: {other}"))
    );
    let error = |kind: &str, message: &str| Outcome::RuntimeError {
        kind: kind.into(),
        message: message.into(),
    };
    let outcomes: Vec<Outcome> = results.into_iter().map(|result| result.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Passed,
            Outcome::WrongOutput(other),
            error("KeyError", "'raise'"),
            error("SystemExit", "2"),
            Outcome::TimedOut,
            Outcome::OutOfMemory,
            Outcome::OutputLimit,
            Outcome::Died { signal: None },
            Outcome::Died { signal: Some(9) },
            error("EOFError", "EOF when reading a line"),
        ]
    );
}

#[test]
fn the_first_failure_can_be_the_last_case_that_is_run() {
    let cases = ["a", "b", "c"].map(|word| Case::new(word, "a"));
    let options = CaseOptions {
        stop_at_first_failure: true,
        ..CaseOptions::default()
    };
    let results = run_cases(&mut start(limits()), "print(input())", &cases, &options).unwrap();
    assert_eq!(results.len(), 2);
    let reason = "case 2: wrong output at line 1: expected `a`, got `b`";
    assert_eq!(verdict(&results), Verdict::incorrect(reason));
    let none = verdict(&[]);
    assert!(matches!(none, Verdict::Unjudged { .. }), "{none}");
}

#[test]
fn a_case_can_have_limits_of_its_own_in_both_directions() {
    let small = Limits {
        cpu: Duration::from_millis(400),
        wall: Duration::from_millis(3_400),
        memory_bytes: 64 << 20,
        ..limits()
    };
    let program = "import time\nword = input()\n\
                   if word == 'time':\n    while time.process_time() < 0.8: pass\n\
                   if word == 'memory': bytearray(100 << 20)\nprint('done')";
    let case = |word: &str, time_seconds: Option<f64>, memory_bytes: Option<u64>| Case {
        time_seconds,
        memory_bytes,
        ..Case::new(word, "done")
    };
    let cases = [
        case("time", None, None),
        case("time", Some(20.0), None),
        case("time", Some(0.1), Some(1 << 30)),
        case("memory", None, None),
        case("memory", None, Some(256 << 20)),
        case("memory", Some(5.0), Some(32 << 20)),
        // Those of the interpreter are as they were.
        case("memory", None, None),
    ];
    let mut interpreter = start(small);
    let results = run_cases(&mut interpreter, program, &cases, &CaseOptions::default()).unwrap();
    let outcomes: Vec<Outcome> = results.into_iter().map(|result| result.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::TimedOut,
            Outcome::Passed,
            Outcome::TimedOut,
            Outcome::OutOfMemory,
            Outcome::Passed,
            Outcome::OutOfMemory,
            Outcome::OutOfMemory,
        ]
    );
    for seconds in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
        let cases = [case("", Some(seconds), None)];
        let error =
            run_cases(&mut interpreter, program, &cases, &CaseOptions::default()).unwrap_err();
        assert!(error.to_string().starts_with("limit `cpu` is"), "{error}");
    }
}

#[test]
fn a_program_without_its_package_is_unjudged_and_the_package_is_named() {
    let program = "import no_such_package.part as p\nprint(p.x)";
    let options = CaseOptions::default();
    let results = run_cases(
        &mut start(limits()),
        program,
        &[Case::new("", "1")],
        &options,
    )
    .unwrap();
    let name = "no_such_package".into();
    assert_eq!(results[0].outcome, Outcome::MissingModule { name });
    let verdict = verdict(&results);
    assert!(
        matches!(&verdict, Verdict::Unjudged { reason } if reason.contains("`no_such_package`")),
        "{verdict}"
    );
}

#[test]
fn a_case_is_read_from_json_with_and_without_limits() {
    let plain: Case = serde_json::from_str(r#"{"stdin": "1", "expected": "2"}"#).unwrap();
    assert_eq!(plain, Case::new("1", "2"));
    assert_eq!(
        serde_json::to_string(&plain).unwrap(),
        r#"{"stdin":"1","expected":"2"}"#
    );
    let text = r#"{"stdin":"1","expected":"2","time_seconds":1.5,"memory_bytes":99}"#;
    let case: Case = serde_json::from_str(text).unwrap();
    assert_eq!(
        (case.time_seconds, case.memory_bytes),
        (Some(1.5), Some(99))
    );
    assert_eq!(serde_json::to_string(&case).unwrap(), text);
}

#[test]
fn a_program_is_run_as_python_runs_one() {
    let program = "import atexit, sys, threading\natexit.register(print, 'last')\n\
                   if __name__ == '__main__':\n    print(sys.stdin.read().upper(), end='')\n    5\n\
                   threading.Timer(0.05, print, ['thread']).start()\nprint('note', file=sys.stderr)\nsys.exit(0)\n";
    let run = start(limits()).run_program(program, "line\n").unwrap();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("LINE\nthread\nlast\n", "note\n")
    );
    assert_eq!(run.status, Status::Ok);
}

#[test]
fn a_program_that_does_not_parse_or_raises_says_so_on_stderr() {
    let mut interpreter = start(limits());
    let run = interpreter.run_program("print(1)\nx = = 2", "").unwrap();
    assert!(matches!(&run.status, Status::Exception { kind, .. } if kind == "SyntaxError"));
    assert_eq!(run.stdout, "");
    let run = interpreter
        .run_program("print(1)\nassert 1 == 2, 'not equal'", "")
        .unwrap();
    assert_eq!(run.stdout, "1\n");
    assert!(
        run.stderr.contains("Program, line 2")
            && run.stderr.ends_with("AssertionError: not equal\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn limits_of_a_piece_of_work_hold_in_it_and_no_longer() {
    let mut interpreter = start(limits());
    let short = Limits {
        wall: Duration::from_millis(300),
        memory_bytes: 64 << 20,
        ..limits()
    };
    const LONG: &str = "import time\ntime.sleep(1)";
    const LARGE: &str = "x = bytearray(100 << 20)";
    let work = |interpreter: &mut Interpreter| -> code_interpreter::Result<_> {
        let mut ends: Vec<Status> = vec![interpreter.run_program(LONG, "")?.status];
        ends.extend(
            interpreter
                .run(&[LONG, LARGE])?
                .into_iter()
                .map(|cell| cell.status),
        );
        Ok(ends)
    };
    let inside = interpreter.under(&short, work).unwrap();
    assert_eq!(
        inside,
        [Status::TimedOut, Status::TimedOut, Status::OutOfMemory]
    );
    assert_eq!(
        work(&mut interpreter).unwrap(),
        [Status::Ok, Status::Ok, Status::Ok]
    );
    assert_eq!(*interpreter.limits(), limits());
    let none = Limits {
        wall: Duration::ZERO,
        ..limits()
    };
    let error = interpreter.under(&none, work).unwrap_err();
    assert!(
        matches!(error, Error::InvalidLimit { field: "wall", .. }),
        "{error}"
    );
}

#[test]
fn long_input_and_output_are_passed_whole() {
    let mut interpreter = start(Limits {
        output_bytes: 8 << 20,
        ..limits()
    });
    let stdin = "0123456789 é\n".repeat(100_000);
    let run = interpreter
        .run_program("import sys\nsys.stdout.write(sys.stdin.read())", &stdin)
        .unwrap();
    assert_eq!(run.status, Status::Ok);
    assert_eq!(run.stdout, stdin);
}

#[test]
fn a_pool_answers_in_order_whatever_takes_how_long() {
    let pool = Pool::start(&Python::find().unwrap(), limits(), 3).unwrap();
    let jobs: Vec<Vec<String>> = (0..40)
        .map(|n| {
            vec![
                format!(
                    "import time\ntime.sleep({})",
                    if n % 7 == 0 { 0.05 } else { 0.0 }
                ),
                format!("{n}"),
            ]
        })
        .collect();
    let runs = pool.run_all(&jobs).unwrap();
    assert_eq!(runs.len(), 40);
    for (n, run) in runs.iter().enumerate() {
        assert_eq!(run[1].output, n.to_string());
    }
}

#[test]
fn one_bad_job_does_not_spoil_the_others_of_a_pool() {
    let pool = Pool::start(&unisolated(), hasty(), 2).unwrap();
    let codes = [
        "1",
        "import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(1)",
        "while True: pass",
        "4",
    ];
    let jobs: Vec<Vec<String>> = codes.iter().map(|code| vec![(*code).to_string()]).collect();
    let statuses: Vec<Status> = pool
        .run_all(&jobs)
        .unwrap()
        .into_iter()
        .map(|mut run| run.remove(0).status)
        .collect();
    assert_eq!(
        statuses,
        [
            Status::Ok,
            Status::Died { signal: None },
            Status::TimedOut,
            Status::Ok
        ]
    );
}

#[test]
fn a_pool_can_be_shared_by_threads_and_checks_syntax_in_order() {
    let pool = Pool::start(&Python::find().unwrap(), limits(), 2).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let checked = pool.check_syntax_all(&["x", "x x", "x = 1"]).unwrap();
                assert_eq!(
                    checked.iter().map(Result::is_ok).collect::<Vec<_>>(),
                    [true, false, true]
                );
            });
        }
    });
    assert!(pool.run_all(&[]).unwrap().is_empty());
}

#[test]
fn what_fails_by_the_machine_is_done_once_more_by_another_interpreter() {
    let pool = Pool::start(&Python::find().unwrap(), limits(), 2).unwrap();
    let asked = std::sync::Mutex::new(Vec::new());
    let drivers = pool.map(&[1], |interpreter, _| {
        let driver = interpreter.driver_pid();
        let mut asked = asked.lock().unwrap();
        asked.push(driver);
        if asked.len() == 1 {
            return Err(Error::Driver {
                doing: "trying",
                message: "no more processes".into(),
            });
        }
        Ok(driver)
    });
    let asked = asked.into_inner().unwrap();
    assert_eq!(drivers.unwrap(), [asked[1]]);
    assert_ne!(asked[0], asked[1]);
    // Trouble that stays is told, and nothing else is tried again.
    let mut times = std::sync::atomic::AtomicUsize::new(0);
    let fails = pool.map(&[1], |_, _| {
        times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Err::<(), _>(Error::EmptyPool)
    });
    assert!(matches!(fails, Err(Error::EmptyPool)));
    assert_eq!(*times.get_mut(), 1);
}

#[test]
fn an_empty_pool_is_refused() {
    let error = Pool::start(&Python::find().unwrap(), limits(), 0).unwrap_err();
    assert!(matches!(error, Error::EmptyPool));
}

fn same(white_space: WhiteSpace, expected: &str, got: &str) -> bool {
    let comparison = Comparison {
        white_space,
        float_tolerance: None,
    };
    comparison.difference(expected, got).is_none()
}

proptest! {
    #[test]
    fn white_space_between_words_makes_no_difference_where_any_is_allowed(
        words in prop::collection::vec("[a-z0-9.]{1,5}", 0..8),
        gaps in prop::collection::vec("[ \t\n]{1,3}", 9),
    ) {
        let spaced: String = words.iter().zip(&gaps).map(|(word, gap)| format!("{gap}{word}")).collect();
        prop_assert!(same(WhiteSpace::Any, &spaced, &words.join(" ")));
    }

    #[test]
    fn outputs_are_the_same_only_if_their_words_or_lines_are(a in "[ab \n]{0,6}", b in "[ab \n]{0,6}") {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(same(WhiteSpace::Any, &a, &b), words(&a) == words(&b));
        let lines = |text: &str| {
            let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
            lines.join("\n").trim_end().to_owned()
        };
        prop_assert_eq!(same(WhiteSpace::LineEnds, &a, &b), lines(&a) == lines(&b));
    }

    #[test]
    fn decimal_numbers_are_compared_as_numbers(x in -1e12..1e12_f64, y in -1e12..1e12_f64) {
        let same = |a: &str, b: &str| Comparison::default().difference(a, b).is_none();
        let (short, long, other) = (format!("{x:?}"), format!("{x:.17e}"), format!("{y:?}"));
        prop_assert!(same(&short, &long));
        let apart = (x - y).abs();
        prop_assume!(apart > 1e-6 * x.abs().max(y.abs()) && apart > 1e-6);
        prop_assert!(!same(&short, &other));
    }
}
