//! Programs against test cases, and pools.

use crate::support::{hasty, limits, start, unisolated};
use code_interpreter::cases::{Case, Verdict, outputs_match, run_cases};
use code_interpreter::{Error, Limits, Pool, Python, Status};
use proptest::prelude::*;

fn case(stdin: &str, expected: &str) -> Case {
    Case {
        stdin: stdin.into(),
        expected: expected.into(),
    }
}

#[test]
fn each_case_gets_its_own_verdict() {
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
        .map(|word| case(word, "echo"))
        .chain([case("", "")])
        .collect();
    let results = run_cases(&mut start(hasty()), program, &cases).unwrap();
    let error = |kind: &str, message: &str| Verdict::RuntimeError {
        kind: kind.into(),
        message: message.into(),
    };
    let verdicts: Vec<Verdict> = results.into_iter().map(|result| result.verdict).collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Passed,
            Verdict::WrongAnswer,
            error("KeyError", "'raise'"),
            error("SystemExit", "2"),
            Verdict::TimedOut,
            Verdict::OutOfMemory,
            Verdict::OutputLimit,
            Verdict::Died { signal: None },
            Verdict::Died { signal: Some(9) },
            error("EOFError", "EOF when reading a line"),
        ]
    );
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
fn an_empty_pool_is_refused() {
    let error = Pool::start(&Python::find().unwrap(), limits(), 0).unwrap_err();
    assert!(matches!(error, Error::EmptyPool));
}

proptest! {
    #[test]
    fn white_space_between_words_never_changes_a_verdict(
        words in prop::collection::vec("[a-z0-9.]{1,5}", 0..8),
        gaps in prop::collection::vec("[ \t\n]{1,3}", 9),
    ) {
        let spaced: String = words.iter().zip(&gaps).map(|(word, gap)| format!("{gap}{word}")).collect();
        prop_assert!(outputs_match(&spaced, &words.join(" ")));
    }

    #[test]
    fn outputs_match_only_if_their_words_do(a in "[ab \n]{0,6}", b in "[ab \n]{0,6}") {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(outputs_match(&a, &b), words(&a) == words(&b));
    }
}
