//! What the tests of this folder share.

use std::time::Duration;

use code_interpreter::{Execution, Interpreter, Limits, Protection, Python, Sandbox, Status};

/// For code that ends: a clock that no busy machine runs into.
pub fn limits() -> Limits {
    Limits {
        wall: Duration::from_secs(60),
        cpu: Duration::from_secs(60),
        grace: Duration::from_millis(500),
        memory_bytes: 256 << 20,
        output_bytes: 256 << 10,
        file_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// For code that is meant to run into the clock.
pub fn hasty() -> Limits {
    Limits {
        wall: Duration::from_millis(800),
        grace: Duration::from_millis(300),
        ..limits()
    }
}

pub fn start(limits: Limits) -> Interpreter {
    Interpreter::start(&Python::find().unwrap(), limits).unwrap()
}

/// A Python whose code is not isolated: it reaches the driver and the files of the test.
pub fn unisolated() -> Python {
    Python::find().unwrap().with_sandbox(Sandbox {
        at_most: Protection::None,
        ..Sandbox::default()
    })
}

/// One cell in its own run.
pub fn one(limits: Limits, code: &str) -> Execution {
    let mut shown = start(limits).run(&[code]).unwrap();
    assert_eq!(shown.len(), 1);
    shown.remove(0)
}

pub fn kind(execution: &Execution) -> &str {
    match &execution.status {
        Status::Exception { kind, .. } => kind,
        other => panic!(
            "expected an exception, found {other:?}: {}",
            execution.output
        ),
    }
}

/// Whether a process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z'),
        Err(_) => false,
    }
}

/// Waits for what the system does in its own time.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never happened: {what}");
}
