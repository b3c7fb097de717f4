//! What a cell shows, and what cells share.

use crate::support::{kind, limits, one, start};
use code_interpreter::{Execution, Limits, Session, Status};

fn outputs(executions: &[Execution]) -> Vec<&str> {
    executions
        .iter()
        .map(|execution| execution.output.as_str())
        .collect()
}

#[test]
fn the_last_expression_is_shown_by_its_repr() {
    let cells = [
        "1 + 1",
        "'text'",
        "None",
        "x = 3",
        "x;",
        "x ; # no",
        "print('a')\nx",
        "(x)  # yes",
        "'a;b'",
    ];
    let shown = start(limits()).run(&cells).unwrap();
    assert_eq!(
        outputs(&shown),
        ["2", "'text'", "", "", "", "", "a\n3", "3", "'a;b'"]
    );
    assert!(shown.iter().all(|execution| execution.status == Status::Ok));
    assert_eq!(shown[3].render(), "[Executed Successfully with No Output]");
}

#[test]
fn variables_are_shared_between_cells_and_not_between_runs() {
    let mut interpreter = start(limits());
    let shown = interpreter
        .run(&["def double(n):\n    return 2 * n", "double(21)"])
        .unwrap();
    assert_eq!(shown[1].output, "42");
    assert_eq!(
        kind(&interpreter.run(&["double(21)"]).unwrap()[0]),
        "NameError"
    );
}

#[test]
fn an_exception_ends_its_cell_only() {
    let shown = start(limits()).run(&["x = 1\nx / 0\nx = 2", "x"]).unwrap();
    assert_eq!(kind(&shown[0]), "ZeroDivisionError");
    assert_eq!(shown[1].output, "1");
}

#[test]
fn a_traceback_shows_the_cell_the_line_and_the_error() {
    let shown = start(limits())
        .run(&["def f(x):\n    return 1 / x", "print('before')\nf(0)"])
        .unwrap();
    assert_eq!(
        shown[1].output,
        "before\n---------------------------------------------------------------------------\n\
         ZeroDivisionError                         Traceback (most recent call last)\n\
         Cell In[2], line 2\n      1 print('before')\n----> 2 f(0)\n\n\
         Cell In[1], line 2, in f(x)\n      1 def f(x):\n----> 2     return 1 / x\n\n\
         ZeroDivisionError: division by zero"
    );
    assert_eq!(
        shown[1].status,
        Status::Exception {
            kind: "ZeroDivisionError".into(),
            message: "division by zero".into()
        }
    );
}

#[test]
fn a_syntax_error_shows_its_line_and_runs_nothing() {
    let shown = one(limits(), "print('ran')\nx = = 1");
    assert_eq!(kind(&shown), "SyntaxError");
    assert!(
        shown
            .output
            .starts_with("  Cell In[1], line 2\n    x = = 1\n"),
        "{}",
        shown.output
    );
    assert!(
        shown.output.ends_with("SyntaxError: invalid syntax"),
        "{}",
        shown.output
    );
}

#[test]
fn a_chain_of_exceptions_is_told_oldest_first() {
    let shown = one(
        limits(),
        "try:\n    {}['k']\nexcept KeyError as error:\n    raise ValueError('no k') from error",
    );
    let cause = shown.output.find("KeyError: 'k'").unwrap();
    let link = shown
        .output
        .find("The above exception was the direct cause")
        .unwrap();
    let effect = shown.output.find("ValueError: no k").unwrap();
    assert!(cause < link && link < effect, "{}", shown.output);
}

#[test]
fn tracebacks_do_not_name_folders_of_the_machine() {
    let shown = one(limits(), "import json\njson.loads('{')");
    assert!(
        shown.output.contains("File json/decoder.py:"),
        "{}",
        shown.output
    );
    assert!(!shown.output.contains("File /"), "{}", shown.output);
}

#[test]
fn deep_recursion_is_an_exception_with_a_short_traceback() {
    let shown = one(limits(), "def f(n):\n    return f(n + 1)\nf(0)");
    assert_eq!(kind(&shown), "RecursionError");
    assert!(
        shown
            .output
            .contains("[... skipping similar frames: f at line 2 ("),
        "{}",
        shown.output
    );
    assert!(
        !shown.truncated && shown.output.len() < 1_000,
        "{}",
        shown.output
    );
}

#[test]
fn output_of_both_streams_and_of_child_processes_is_seen() {
    let code = "import subprocess, sys\nprint('out')\nprint('err', file=sys.stderr)\n\
                subprocess.run(['echo', 'child']);";
    assert_eq!(one(limits(), code).output, "out\nerr\nchild");
}

#[test]
fn long_output_is_cut_at_characters_as_the_papers_tool_cuts_it() {
    let shown = one(limits(), "print('é' * 2001)");
    assert_eq!(shown.output, "é".repeat(2000) + "...\n[Output Truncated]");
    assert!(shown.truncated);
    assert_eq!(shown.status, Status::Ok);
    let shown = one(limits(), "print('é' * 2000)");
    assert_eq!(shown.output, "é".repeat(2000));
    assert!(!shown.truncated);
}

#[test]
fn unicode_passes_and_invalid_utf8_is_replaced() {
    assert_eq!(
        one(limits(), "print('naïve π 😀 \\x00')\n'日本'").output,
        "naïve π 😀 \0\n'日本'"
    );
    let shown = one(limits(), "import os\nos.write(1, b'a\\xff\\xfeb\\n');");
    assert_eq!(
        (shown.output.as_str(), shown.status),
        ("a\u{fffd}\u{fffd}b", Status::Ok)
    );
    let shown = one(limits(), "print('\\ud800')\nraise ValueError('\\ud800')");
    assert!(shown.output.starts_with("\\ud800\n"), "{}", shown.output);
    assert_eq!(kind(&shown), "ValueError");
}

#[test]
fn a_cell_that_replaces_stdout_does_not_blind_the_next() {
    let shown = start(limits()).run(&[
        "import io, sys\nsys.stdout = io.StringIO()\nprint('gone')",
        "print('seen')",
    ]);
    assert_eq!(outputs(&shown.unwrap()), ["", "seen"]);
    let shown = start(limits())
        .run(&["import sys\nsys.stdout.close()", "print('seen')"])
        .unwrap();
    assert_eq!(shown[1].output, "seen");
}

#[test]
fn the_same_code_prints_the_same_in_every_interpreter() {
    let code = "import random\nprint(random.random(), list({'a', 'b', 'c', 'd'}), hash('x'))";
    let mut first = start(limits());
    first.run(&["import random\nrandom.random()"]).unwrap();
    assert_eq!(
        first.run(&[code]).unwrap()[0].output,
        start(limits()).run(&[code]).unwrap()[0].output
    );
}

#[test]
fn a_session_keeps_variables_and_reset_forgets_them() {
    let mut session = Session::start(&code_interpreter::Python::find().unwrap(), limits()).unwrap();
    assert_eq!(session.execute("x = 20\nx").unwrap().output, "20");
    assert_eq!(session.execute("x + 1").unwrap().output, "21");
    session.reset().unwrap();
    assert_eq!(kind(&session.execute("x").unwrap()), "NameError");
    assert_eq!(session.restarts(), 0);
}

#[test]
fn a_session_shows_what_one_run_of_the_same_cells_shows() {
    let cells = [
        "x = [1]",
        "x.append(2)\nx",
        "undefined",
        "_",
        "import sys; sys.exit(2)",
        "len(x) /",
        "x * 2",
    ];
    let together = start(limits()).run(&cells).unwrap();
    let mut session = Session::start(&code_interpreter::Python::find().unwrap(), limits()).unwrap();
    for (cell, expected) in cells.iter().zip(&together) {
        let shown = session.execute(cell).unwrap();
        assert_eq!(
            (&shown.output, &shown.status),
            (&expected.output, &expected.status)
        );
    }
}

#[test]
fn no_cells_give_no_executions() {
    assert_eq!(start(limits()).run::<&str>(&[]).unwrap(), []);
}

#[test]
fn classes_and_pickles_of_a_cell_belong_to_main() {
    let code = "import pickle\nclass Point:\n    pass\n(__name__, type(pickle.loads(pickle.dumps(Point()))) is Point)";
    assert_eq!(one(limits(), code).output, "('__main__', True)");
}

#[test]
fn syntax_is_checked_without_running() {
    let mut interpreter = start(limits());
    let snippets = [
        "raise SystemExit",
        "x = (",
        "a\nreturn 1",
        "b = 'a\0b'",
        "'\\d'",
    ];
    let checked = interpreter.check_syntax_all(&snippets).unwrap();
    let lines: Vec<Option<usize>> = checked
        .iter()
        .map(|result| result.as_ref().err().map(|e| e.line))
        .collect();
    assert_eq!(lines, [None, Some(1), Some(2), Some(1), None]);
    let nested = interpreter
        .check_syntax(&"(".repeat(100_000))
        .unwrap()
        .unwrap_err();
    assert!(!nested.message.is_empty());
}

#[test]
fn packages_and_preloaded_modules_are_a_choice() {
    let python = code_interpreter::Python::find()
        .unwrap()
        .with_preload(["fractions"]);
    let mut interpreter = code_interpreter::Interpreter::start(&python, Limits::default()).unwrap();
    let code = "import sys\nbefore = 'fractions' in sys.modules\nbefore, 'site' in sys.modules";
    assert_eq!(interpreter.run(&[code]).unwrap()[0].output, "(True, False)");
    let python = code_interpreter::Python::find()
        .unwrap()
        .with_site_packages();
    let mut interpreter = code_interpreter::Interpreter::start(&python, Limits::default()).unwrap();
    assert_eq!(
        interpreter
            .run(&["import sys\n'site' in sys.modules"])
            .unwrap()[0]
            .output,
        "True"
    );
    let python = python.with_preload(["no_such_module_at_all"]);
    let error = code_interpreter::Interpreter::start(&python, Limits::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no_such_module_at_all"), "{error}");
}

#[test]
fn short_tracebacks_have_no_head_and_are_the_same_otherwise() {
    let python = code_interpreter::Python::find().unwrap();
    let code = ["def half(x):\n    return 1 / x\n\nhalf(0)"];
    let shown = |python: &code_interpreter::Python| {
        let mut interpreter = code_interpreter::Interpreter::start(python, limits()).unwrap();
        interpreter.run(&code).unwrap().remove(0).output
    };
    let (whole, short) = (
        shown(&python),
        shown(&python.clone().with_short_tracebacks()),
    );
    let head = whole.lines().take(2).collect::<Vec<_>>();
    assert!(
        head[0].starts_with("-----") && head[1].ends_with("Traceback (most recent call last)"),
        "{whole}"
    );
    assert_eq!(
        whole.lines().skip(2).collect::<Vec<_>>(),
        short.lines().collect::<Vec<_>>()
    );
}
