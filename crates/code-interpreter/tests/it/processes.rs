//! Processes that die, stay behind or talk out of turn - the code's, the driver's, the session's.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{eventually, hasty, is_alive, kind, limits, one, start, unisolated};
use code_interpreter::{Interpreter, Limits, Python, Session, Status};
use test_support::skip;

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_that_holds_the_pipe_neither_delays_the_answer_nor_outlives_it() {
    let code = "import os, time\nr, w = os.pipe()\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
                os.write(w, str(os.getpid()).encode())\n        time.sleep(1000)\n    os._exit(0)\nprint(os.read(r, 20).decode())";
    let began = Instant::now();
    let mut interpreter = Interpreter::start(&unisolated(), limits()).unwrap();
    let shown = interpreter.run(&[code]).unwrap().remove(0);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(shown.status, Status::Ok);
    assert!(!is_alive(shown.output.parse().unwrap()));
}

#[test]
fn the_death_of_a_cell_is_seen_while_its_child_holds_the_pipes() {
    let code = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\nos._exit(5)";
    let began = Instant::now();
    let shown = one(
        Limits {
            wall: Duration::from_secs(60),
            ..limits()
        },
        code,
    );
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(shown.status, Status::Died { signal: None });
}

#[test]
fn a_forked_child_that_runs_to_the_end_of_the_cell_does_not_run_the_next() {
    let shown = start(limits())
        .run(&[
            "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n5",
            "6",
        ])
        .unwrap();
    assert_eq!(shown[0].status, Status::Ok);
    assert_eq!(shown[1].output, "6");
}

#[test]
fn garbage_written_to_the_workers_own_pipes_is_a_death_and_not_an_answer() {
    let code = "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'{\"status\": 5}\\n')\n    except OSError: pass\n\
                while True: pass";
    let mut interpreter = start(hasty());
    let shown = interpreter.run(&[code]).unwrap();
    assert_eq!(shown[0].status, Status::Died { signal: None });
    assert_eq!(interpreter.run(&["1"]).unwrap()[0].output, "1");
}

#[test]
fn a_cell_that_closes_every_descriptor_is_a_death() {
    let shown = one(limits(), "import os\nos.closerange(0, 100)");
    assert_eq!(shown.status, Status::Died { signal: None });
}

#[test]
fn code_that_kills_its_driver_is_held_responsible() {
    let mut interpreter = Interpreter::start(&unisolated(), limits()).unwrap();
    let shown = interpreter
        .run(&[
            "import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(1)",
            "1",
        ])
        .unwrap();
    assert_eq!(shown[0].status, Status::Died { signal: None });
    assert_eq!(shown[1].status, Status::NotRun);
    assert_eq!(interpreter.run(&["2"]).unwrap()[0].output, "2");
}

#[cfg(target_os = "linux")]
#[test]
fn a_driver_killed_from_outside_takes_its_worker_along_and_the_run_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("pids");
    // The first attempt waits to be killed; the second finds the note and answers.
    let code = format!(
        "import os, time\npath = {notes:?}\nif os.path.exists(path):\n    print('again')\nelse:\n    \
         open(path + '.new', 'w').write(str(os.getpid()))\n    os.rename(path + '.new', path)\n    time.sleep(1000)"
    );
    let mut interpreter = Interpreter::start(&unisolated(), limits()).unwrap();
    let driver = interpreter.driver_pid().unwrap();
    let killer = std::thread::spawn(move || {
        eventually("the cell starts", || notes.exists());
        let worker = fs::read_to_string(&notes).unwrap().parse().unwrap();
        assert!(is_alive(worker));
        let pid = rustix::process::Pid::from_raw(i32::try_from(driver).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        eventually("the worker dies with its driver", || !is_alive(worker));
    });
    let shown = interpreter.run(&[code]).unwrap();
    killer.join().unwrap();
    assert_eq!(shown[0].output, "again");
    assert_ne!(interpreter.driver_pid(), Some(driver));
}

#[test]
fn a_stopped_driver_is_replaced() {
    let mut interpreter = start(hasty());
    let driver = interpreter.driver_pid().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(driver).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    // Longer than a pipe holds, so that the request itself cannot be delivered.
    let code = format!("text = '{}'\nlen(text)", "x".repeat(1 << 20));
    assert_eq!(interpreter.run(&[code]).unwrap()[0].output, "1048576");
    assert_ne!(interpreter.driver_pid(), Some(driver));
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_an_interpreter_leaves_no_process_behind() {
    let interpreter = start(limits());
    let driver = interpreter.driver_pid().unwrap();
    assert!(is_alive(driver));
    drop(interpreter);
    assert!(!is_alive(driver));
    let mut session = Session::start(&unisolated(), limits()).unwrap();
    let worker = session
        .execute("import os\nos.getpid()")
        .unwrap()
        .output
        .parse()
        .unwrap();
    assert!(is_alive(worker));
    drop(session);
    assert!(!is_alive(worker));
}

#[test]
fn a_session_that_dies_starts_again_and_says_so() {
    let mut session = Session::start(&unisolated(), limits()).unwrap();
    session.execute("x = 1").unwrap();
    assert!(matches!(
        session.execute("import os\nos.abort()").unwrap().status,
        Status::Died { signal: Some(6) }
    ));
    assert_eq!(session.restarts(), 1);
    assert_eq!(kind(&session.execute("x").unwrap()), "NameError");

    // Death between two cells, by a thread.
    session
        .execute("import os, threading\nthreading.Timer(0.05, os._exit, [1]).start()")
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(session.execute("2").unwrap().output, "2");
    assert_eq!(session.restarts(), 2);

    // Death of the driver.
    let shown = session
        .execute("import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(1)")
        .unwrap();
    assert_eq!(shown.status, Status::Died { signal: None });
    assert_eq!(session.restarts(), 3);
    assert_eq!(session.execute("3").unwrap().output, "3");
}

#[test]
fn the_state_of_a_session_survives_a_time_out() {
    let mut session = Session::start(&Python::find().unwrap(), hasty()).unwrap();
    session.execute("x = 1").unwrap();
    assert_eq!(
        session.execute("while True: pass").unwrap().status,
        Status::TimedOut
    );
    assert_eq!(session.execute("x").unwrap().output, "1");
    assert_eq!(session.restarts(), 0);
}

#[test]
fn what_is_active_is_told() {
    let safeguards = Interpreter::start(&unisolated(), limits())
        .unwrap()
        .safeguards();
    assert_eq!(safeguards.protection, code_interpreter::Protection::None);
    assert!(!safeguards.protection.holds_hostile_code());
    if cfg!(target_os = "linux") {
        assert!(
            safeguards.memory && safeguards.no_new_privs && safeguards.daemons,
            "{safeguards}"
        );
        assert_eq!(safeguards.processes, !rustix::process::getuid().is_root());
    }
}

#[test]
fn a_process_limit_holds_unless_the_user_is_root() {
    let mut interpreter = start(Limits {
        processes: 3,
        ..limits()
    });
    if !interpreter.safeguards().processes {
        skip("the kernel does not count the processes of this user");
        return;
    }
    let code = "import os, time\nfor _ in range(50):\n    if os.fork() == 0: time.sleep(100)";
    assert_eq!(
        kind(&interpreter.run(&[code]).unwrap()[0]),
        "BlockingIOError"
    );
}
