//! Code that misbehaves: every call returns, in time, with a status that says what happened.

use std::fs;
use std::time::Duration;

use crate::support::{hasty, kind, limits, one, start, unisolated};
use code_interpreter::{Interpreter, Limits, Python, Status};

#[test]
fn an_endless_loop_times_out_and_keeps_the_variables() {
    let shown = start(hasty())
        .run(&["x = 7", "while True: pass", "x"])
        .unwrap();
    assert_eq!(shown[1].status, Status::TimedOut);
    assert!(
        shown[1]
            .output
            .ends_with("TimeoutError: the cell ran longer than 0.8 s"),
        "{}",
        shown[1].output
    );
    assert!(
        shown[1].output.starts_with("Cell In[2], line 1"),
        "{}",
        shown[1].output
    );
    assert_eq!(shown[2].output, "7");
}

#[test]
fn an_endless_sleep_times_out() {
    assert_eq!(
        one(hasty(), "import time\ntime.sleep(1e6)").status,
        Status::TimedOut
    );
}

#[test]
fn a_loop_that_swallows_the_interrupt_is_killed() {
    // Twice, for between the lines of one handler there are instructions that it does not guard.
    let code = "while True:\n    try:\n        while True:\n            try:\n                \
                while True: sum(range(100))\n            except: pass\n    except: pass";
    let shown = start(hasty()).run(&[code, "1"]).unwrap();
    assert_eq!(shown[0].status, Status::TimedOut);
    assert!(
        shown[0].output.ends_with("its variables are lost"),
        "{}",
        shown[0].output
    );
    assert_eq!(shown[1].status, Status::NotRun);
}

#[test]
fn a_cell_that_ignores_all_signals_is_killed() {
    let code = "import signal, time\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    \
                except OSError: pass\nwhile True: time.sleep(1)";
    assert_eq!(one(hasty(), code).status, Status::TimedOut);
}

#[test]
fn processor_time_has_its_own_limit() {
    let limits = Limits {
        cpu: Duration::from_millis(200),
        wall: Duration::from_secs(20),
        ..limits()
    };
    let shown = one(limits, "while True: pass");
    assert_eq!(shown.status, Status::TimedOut);
    assert!(
        shown
            .output
            .ends_with("used more than 0.2 s of processor time"),
        "{}",
        shown.output
    );
}

#[test]
fn endless_output_is_stopped_and_cut() {
    let shown = start(limits())
        .run(&["x = 1", "while True: print('spam')", "x"])
        .unwrap();
    assert_eq!(shown[1].status, Status::OutputLimit);
    assert!(shown[1].truncated);
    assert!(shown[1].output.starts_with("spam\nspam\n"));
    assert!(shown[1].output.chars().count() < 2_200);
    assert_eq!(shown[2].output, "1");
}

#[test]
fn ten_gigabytes_are_out_of_memory_and_the_variables_are_kept() {
    let shown = start(limits())
        .run(&["x = 1", "y = bytearray(10 * 1024**3)", "x"])
        .unwrap();
    assert_eq!(shown[1].status, Status::OutOfMemory);
    assert!(
        shown[1].output.ends_with("MemoryError: "),
        "{}",
        shown[1].output
    );
    assert_eq!(shown[2].output, "1");
    let shown = one(
        limits(),
        "chunks = []\nwhile True: chunks.append(bytes(1_000_000))",
    );
    assert_eq!(shown.status, Status::OutOfMemory);
    let shown = one(
        limits(),
        "numbers = []\nwhile True: numbers.append(len(numbers) + 1000)",
    );
    assert_eq!(shown.status, Status::OutOfMemory);
}

#[test]
fn os_exit_is_a_death_without_a_signal() {
    let shown = start(limits())
        .run(&["print('seen')\nimport os\nos._exit(3)", "1"])
        .unwrap();
    assert_eq!(shown[0].status, Status::Died { signal: None });
    assert_eq!(
        shown[0].output,
        "seen\nThe interpreter exited with status 3; its variables are lost"
    );
    assert_eq!(shown[1].status, Status::NotRun);
}

#[test]
fn sys_exit_is_an_exception_and_exit_and_quit_exist() {
    for code in ["import sys\nsys.exit(4)", "exit(4)", "quit(4)"] {
        let shown = one(limits(), code);
        assert_eq!(
            shown.status,
            Status::Exception {
                kind: "SystemExit".into(),
                message: "4".into()
            }
        );
    }
}

#[test]
fn a_signal_that_kills_is_named() {
    let shown = one(
        limits(),
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    );
    assert_eq!(shown.status, Status::Died { signal: Some(9) });
    let shown = one(
        limits(),
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    );
    assert_eq!(shown.status, Status::Died { signal: Some(11) });
}

#[test]
fn a_cell_that_stops_itself_times_out() {
    assert_eq!(
        one(
            hasty(),
            "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
        )
        .status,
        Status::TimedOut
    );
}

#[test]
fn input_and_reading_stdin_meet_the_end_of_the_file() {
    let shown = start(limits())
        .run(&["input()", "import sys\nsys.stdin.read()", "open(0).read()"])
        .unwrap();
    assert_eq!(kind(&shown[0]), "EOFError");
    assert_eq!(shown[1].output, "''");
    assert_eq!(shown[2].output, "''");
}

#[test]
fn a_huge_file_is_refused_and_the_folder_is_gone_afterwards() {
    let code =
        "import os\nprint(os.getcwd())\nwith open('big', 'wb') as f:\n    f.write(bytes(8 << 20))";
    let mut interpreter = Interpreter::start(&unisolated(), limits()).unwrap();
    let shown = interpreter.run(&[code]).unwrap();
    assert_eq!(kind(&shown[0]), "OSError");
    let shown = interpreter.run(&[
        "import os\nopen('small', 'w').write('x');\nos.makedirs('a/b')\nprint(os.getcwd())",
    ]);
    let folder = shown.unwrap()[0].output.clone();
    assert!(!folder.is_empty());
    interpreter.run(&["1"]).unwrap(); // the driver cleans up between the calls
    assert!(!fs::exists(&folder).unwrap());
    drop(interpreter);
    assert!(!fs::exists(std::path::Path::new(&folder).parent().unwrap()).unwrap());
}

#[test]
fn each_run_starts_in_an_empty_folder_with_a_scrubbed_environment() {
    let mut interpreter = start(limits());
    interpreter.run(&["open('left', 'w').write('x')"]).unwrap();
    let shown = interpreter
        .run(&[
            "import os\nos.listdir()",
            "'CARGO_MANIFEST_DIR' in os.environ",
        ])
        .unwrap();
    assert_eq!(shown[0].output, "[]");
    assert_eq!(shown[1].output, "False");
}

#[test]
fn an_object_whose_repr_or_message_never_ends_is_stopped() {
    let shown = one(
        hasty(),
        "class Odd:\n    def __repr__(self):\n        while True: pass\nOdd()",
    );
    assert_eq!(shown.status, Status::TimedOut);
    let shown = one(
        hasty(),
        "class Odd(Exception):\n    def __str__(self):\n        while True: pass\nraise Odd",
    );
    assert_eq!(shown.status, Status::TimedOut);
    let shown = one(limits(), "raise ValueError('x' * 10**7)");
    assert_eq!(kind(&shown), "ValueError");
}

#[test]
fn limits_nothing_can_run_under_are_refused_before_anything_starts() {
    let limits = Limits {
        wall: Duration::ZERO,
        ..limits()
    };
    let error = Interpreter::start(&Python::find().unwrap(), limits).unwrap_err();
    assert!(
        error.to_string().starts_with("limit `wall` is 0ns"),
        "{error}"
    );
}
