//! Branches of a notebook: each as if the cells before it had been run again for it alone.
#![cfg(target_os = "linux")]

use code_interpreter::{Fork, Interpreter, Limits, Protection, State, Status};
use test_support::skip;

use crate::support::{hasty, limits, start};

fn forkable(limits: Limits) -> Option<Interpreter> {
    let interpreter = start(limits);
    let level = interpreter.safeguards().protection;
    if level == Protection::Full {
        return Some(interpreter);
    }
    skip(format_args!(
        "states are forked at `full` only, and here is {level}"
    ));
    None
}

fn fork(interpreter: &mut Interpreter, state: &State, cells: &[&str], keep: bool) -> Fork {
    interpreter
        .run_on_fork(state, cells, keep)
        .unwrap()
        .unwrap()
}

#[test]
fn branches_go_on_from_their_parent_and_do_not_see_one_another() {
    let Some(mut interpreter) = forkable(limits()) else {
        return;
    };
    let root = interpreter.open().unwrap();
    let first = fork(&mut interpreter, &root, &["x = [1]\nx"], true);
    assert_eq!(first.executions[0].output, "[1]");
    assert!(!first.is_dirty);
    let parent = first.child.unwrap();
    for n in 2..6 {
        let cells = [format!("x.append({n})"), "x".into()];
        let branch = interpreter
            .run_on_fork(&parent, &cells, false)
            .unwrap()
            .unwrap();
        assert_eq!(branch.executions[1].output, format!("[1, {n}]"));
        assert_eq!((branch.child, branch.is_dirty), (None, false));
    }
    let deeper = fork(&mut interpreter, &parent, &["x += [7]"], true)
        .child
        .unwrap();
    assert_eq!(
        fork(&mut interpreter, &deeper, &["x"], false).executions[0].output,
        "[1, 7]"
    );
    assert_eq!(
        fork(&mut interpreter, &parent, &["x"], false).executions[0].output,
        "[1]"
    );
    for state in [deeper, parent, root] {
        interpreter.close(state).unwrap();
    }
    let driver = interpreter.driver_pid().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{driver}/task/{driver}/children"));
    assert_eq!(children.unwrap().trim(), "");
}

#[test]
fn a_branch_shows_what_a_run_of_all_its_cells_shows() {
    let Some(mut interpreter) = forkable(limits()) else {
        return;
    };
    let before = [
        "import random\nx = 3",
        "def f(n):\n    return n / 0",
        "random.random()",
    ];
    let after = [
        "f(x)",
        "_ , random.random(), __name__",
        "import os, sys\nprint('out')\nprint('err', file=sys.stderr)",
        "import os; os._exit(3)",
        "x",
    ];
    let root = interpreter.open().unwrap();
    let parent = fork(&mut interpreter, &root, &before, true).child.unwrap();
    let branch = fork(&mut interpreter, &parent, &after, false);
    let whole = interpreter
        .run(&[&before[..], &after[..]].concat())
        .unwrap();
    for (here, there) in branch.executions.iter().zip(&whole[before.len()..]) {
        assert_eq!((&here.output, &here.status), (&there.output, &there.status));
    }
    assert_eq!(branch.executions.len(), after.len());
}

#[test]
fn limits_and_deaths_end_a_branch_and_leave_its_parent() {
    let Some(mut interpreter) = forkable(hasty()) else {
        return;
    };
    let root = interpreter.open().unwrap();
    let parent = fork(&mut interpreter, &root, &["x = 5"], true)
        .child
        .unwrap();
    for (cell, status) in [
        ("while True: pass", Status::TimedOut),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
            Status::TimedOut,
        ),
        ("while True: print('spam')", Status::OutputLimit),
        ("x = bytearray(10 << 30)", Status::OutOfMemory),
        (
            "import os\nos.kill(os.getpid(), 9)",
            Status::Died { signal: Some(9) },
        ),
        (
            "import os\nos.write(4, b'nonsense\\n')\nimport time\ntime.sleep(9)",
            Status::Died { signal: None },
        ),
    ] {
        let branch = fork(&mut interpreter, &parent, &[cell], true);
        assert_eq!(branch.executions[0].status, status, "{cell}");
        assert!(!branch.is_dirty, "{cell}");
        assert_eq!(
            fork(&mut interpreter, &parent, &["x"], false).executions[0].output,
            "5",
            "{cell}"
        );
    }
}

#[test]
fn hostile_branches_change_no_state_or_make_it_dirty() {
    let Some(mut interpreter) = forkable(limits()) else {
        return;
    };
    for cell in [
        "import os, signal\nfor pid in range(2, 30):\n    for n in (2, 10, 14, 15, 19, 9):\n        if pid != os.getpid():\n            try: os.kill(pid, n)\n            except OSError: pass",
        "import os\nfor pid in range(1, 30):\n    if pid != os.getpid():\n        try: open('/proc/%d/mem' % pid, 'r+b')\n        except OSError: continue\n        print('THROUGH')",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    while True:\n        try: os.write(4, b'x\\n')\n        except OSError: pass\n        time.sleep(0.01)",
        "open('file', 'w').write('x')",
        "import os\nos.register_at_fork(after_in_child=lambda: os._exit(0))",
    ] {
        let root = interpreter.open().unwrap();
        let parent = fork(&mut interpreter, &root, &["x = 5"], true)
            .child
            .unwrap();
        let branch = interpreter.run_on_fork(&parent, &[cell], false).unwrap();
        if let Some(branch) = &branch {
            assert!(!branch.executions[0].output.contains("THROUGH"), "{cell}");
        }
        let dirty = branch.is_none_or(|branch| branch.is_dirty);
        // Either the state is what it was, or nobody is told that it is.
        match interpreter
            .run_on_fork(&parent, &["import os\nx, os.listdir()"], false)
            .unwrap()
        {
            Some(next) => {
                assert!(!dirty, "{cell}");
                assert_eq!(next.executions[0].output, "(5, [])", "{cell}");
            }
            None => assert!(dirty, "{cell}"),
        }
        interpreter.close(parent).unwrap();
        interpreter.close(root).unwrap();
        assert_eq!(interpreter.run(&["1"]).unwrap()[0].output, "1");
    }
}

#[test]
fn a_state_with_threads_or_open_files_is_not_forked() {
    let Some(mut interpreter) = forkable(limits()) else {
        return;
    };
    for cell in [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "f = open('/dev/null')",
    ] {
        let root = interpreter.open().unwrap();
        let parent = fork(&mut interpreter, &root, &[cell], true).child.unwrap();
        assert_eq!(
            interpreter.run_on_fork(&parent, &["1"], false).unwrap(),
            None
        );
        assert_eq!(
            fork(&mut interpreter, &root, &["2"], false).executions[0].output,
            "2"
        );
    }
}
