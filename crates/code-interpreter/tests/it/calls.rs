//! Code that asks back while it runs.

use std::time::Duration;

use crate::support::{hasty, kind, limits, start};
use code_interpreter::{CallReply, Interpreter, Limits, Status};

fn echo(text: &str) -> CallReply {
    CallReply::Text(text.into())
}

/// The runs that follow are not spoiled by what one did.
fn still_works(interpreter: &mut Interpreter) {
    assert_eq!(interpreter.run(&["6 * 7"]).unwrap()[0].output, "42");
    let shown = interpreter
        .run_with_calls(&["call_out('x')"], &mut echo)
        .unwrap();
    assert_eq!(shown[0].output, "'x'");
}

#[test]
fn calls_are_answered_in_order_and_in_every_cell() {
    let mut asked = Vec::new();
    let mut answer = |text: &str| {
        asked.push(text.to_owned());
        CallReply::Text(asked.len().to_string())
    };
    let cells = [
        "print(call_out('a'), call_out('b\\n'))",
        "call_out('π 😀 \\x00')",
    ];
    let shown = start(limits()).run_with_calls(&cells, &mut answer).unwrap();
    assert_eq!(
        (shown[0].output.as_str(), shown[1].output.as_str()),
        ("1 2", "'3'")
    );
    assert_eq!(asked, ["a", "b\n", "π 😀 \0"]);
}

#[test]
fn texts_arrive_as_they_were_sent_up_to_sixteen_mebibytes() {
    let mut interpreter = start(limits());
    let cells = [
        "text = 'ab\\n\"é\\u2028\\\\' * 300_000\ncall_out(text) == text",
        "call_out('x' * (17 << 20))",
        "call_out('\\ud800')",
    ];
    let shown = interpreter.run_with_calls(&cells, &mut echo).unwrap();
    assert_eq!(shown[0].output, "True");
    assert_eq!(kind(&shown[1]), "ValueError");
    assert_eq!(shown[2].output, "'?'");
}

#[test]
fn only_code_that_was_given_it_can_call_out() {
    let mut interpreter = start(limits());
    let shown = interpreter.run(&["call_out('x')"]).unwrap();
    assert_eq!(kind(&shown[0]), "NameError");
}

#[test]
fn the_clock_of_the_cell_stands_still_while_its_call_is_answered() {
    let mut slow = |_: &str| {
        std::thread::sleep(Duration::from_millis(2_500));
        CallReply::Text(String::new())
    };
    // The limit, the grace of the worker and that of the driver are over before the answer comes.
    let tight = Limits {
        wall: Duration::from_millis(300),
        grace: Duration::from_millis(300),
        ..limits()
    };
    let mut interpreter = start(tight);
    let cells = [
        "call_out('')\n'alive'",
        "call_out('')\nwhile True: pass",
        "'kept'",
    ];
    let shown = interpreter.run_with_calls(&cells, &mut slow).unwrap();
    assert_eq!(shown[0].output, "'alive'");
    assert!(
        shown[0].wall < Duration::from_millis(1_500),
        "{:?}",
        shown[0].wall
    );
    assert_eq!(shown[1].status, Status::TimedOut);
    assert_eq!(shown[2].output, "'kept'");
}

#[test]
fn calls_without_end_are_stopped_by_the_clock() {
    let mut interpreter = start(hasty());
    let shown = interpreter
        .run_with_calls(&["while True: call_out('more')"], &mut echo)
        .unwrap();
    // By its own clock, however long its calls are on their way: not as one who lost the driver.
    assert_eq!(shown[0].status, Status::TimedOut, "{shown:?}");
    still_works(&mut interpreter);
}

#[test]
fn an_answer_can_end_the_run() {
    let mut interpreter = start(limits());
    let mut stop = |_: &str| CallReply::Stop;
    let cells = ["print('before')\ncall_out('x')\nprint('after')", "1"];
    let shown = interpreter.run_with_calls(&cells, &mut stop).unwrap();
    assert_eq!(
        (shown[0].output.as_str(), &shown[0].status),
        ("before", &Status::Stopped)
    );
    assert_eq!(shown[1].status, Status::NotRun);
    still_works(&mut interpreter);
}

/// Writes to every pipe the process holds, the worker's own among them.
const FORGE: &str = "import os, stat, time\ndef forge(line):\n    for n in range(3, 64):\n        try:\n            \
                     if stat.S_ISFIFO(os.fstat(n).st_mode): os.write(n, line)\n        except OSError: pass\n";

#[test]
fn malformed_calls_fail_their_own_run_alone() {
    let mut interpreter = start(hasty());
    for line in [
        r#"{"call": 5}\n"#,
        r#"{"call": "a"}\n{"call": "b"}\n"#,
        r#"{"call"\n"#,
        r#"["call"]\n"#,
        r#"\xff\xfe\n"#,
        r#"null\n"#,
        r#"{"status": "whatever"}\n"#,
        r#"[' + b'[' * 100000 + b'\n"#,
    ] {
        let code = format!("{FORGE}forge(b'{line}')\ntime.sleep(5)");
        let shown = interpreter.run_with_calls(&[code], &mut echo).unwrap();
        assert_eq!(shown[0].status, Status::Died { signal: None }, "{line}");
        still_works(&mut interpreter);
    }
    let code = format!("{FORGE}forge(b'x' * (1 << 25))\ntime.sleep(5)");
    let shown = interpreter.run_with_calls(&[code], &mut echo).unwrap();
    assert!(
        matches!(shown[0].status, Status::Died { .. } | Status::TimedOut),
        "{shown:?}"
    );
    still_works(&mut interpreter);
}

#[test]
fn a_forged_call_is_a_call_of_the_code_that_forged_it() {
    let mut interpreter = start(hasty());
    let mut asked = Vec::new();
    let mut note = |text: &str| {
        asked.push(text.to_owned());
        CallReply::Text("answer".into())
    };
    let code = format!("{FORGE}forge(b'{{\"call\": \"forged\"}}\\n')\ntime.sleep(0.2)\n1");
    let shown = interpreter.run_with_calls(&[code], &mut note).unwrap();
    assert_eq!(shown[0].status, Status::Died { signal: None });
    // With the key of its cell, which its own process knows, it is one.
    let code = format!(
        "{FORGE}import sys\nframe = sys._getframe()\nwhile 'self' not in frame.f_locals: frame = frame.f_back\n\
         key = frame.f_locals['self'].key\n\
         forge(b'{{\"call\": \"forged\", \"key\": \"%s\"}}\\n' % key.encode())\ntime.sleep(0.2)\n1"
    );
    let shown = interpreter.run_with_calls(&[code], &mut note).unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(asked, ["forged"]);
    still_works(&mut interpreter);
}

#[test]
fn a_process_that_the_code_forked_cannot_call_out() {
    let mut interpreter = start(limits());
    let code = "import os\npid = os.fork()\nif pid == 0:\n    try: call_out('child')\n    except RuntimeError: os._exit(7)\n    \
                os._exit(0)\nos.WEXITSTATUS(os.waitpid(pid, 0)[1])";
    let mut asked = 0;
    let mut count = |_: &str| {
        asked += 1;
        CallReply::Text(String::new())
    };
    let shown = interpreter.run_with_calls(&[code], &mut count).unwrap();
    assert_eq!(shown[0].output, "7");
    assert_eq!(asked, 0);
}

#[test]
fn a_worker_that_ends_in_its_call_is_a_death() {
    let mut interpreter = start(limits());
    let code = "import os, threading\nthreading.Timer(0.1, os._exit, [3]).start()\ncall_out('x')\ncall_out('y')";
    let mut slow = |_: &str| {
        std::thread::sleep(Duration::from_millis(300));
        CallReply::Text(String::new())
    };
    let shown = interpreter.run_with_calls(&[code], &mut slow).unwrap();
    assert_eq!(shown[0].status, Status::Died { signal: None });
    still_works(&mut interpreter);
}
