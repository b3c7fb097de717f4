//! Levels of protection: found, required, refused, kept.
#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use code_interpreter::{Error, Interpreter, Limits, Pool, Protection, Python, Sandbox, Status};
use test_support::{in_own_process, skip};

use crate::support::{eventually, is_alive, limits};

fn full() -> Option<Python> {
    let python = Python::find().unwrap().with_sandbox(Sandbox {
        require: Protection::Full,
        ..Sandbox::default()
    });
    match Interpreter::start(&python, limits()) {
        Ok(_) => Some(python),
        Err(error) => {
            skip(error);
            None
        }
    }
}

#[test]
fn levels_are_ordered_and_named_as_records_have_them() {
    use Protection::{Container, DegradedLinux, Full, None};
    assert!(None < Container && Container < DegradedLinux && DegradedLinux < Full);
    for level in [None, Container, DegradedLinux, Full] {
        let written = serde_json::to_string(&level).unwrap();
        assert_eq!(written, format!("\"{level}\""));
        assert_eq!(level.holds_hostile_code(), level == Full);
    }
}

#[test]
fn the_level_and_its_measures_are_told_by_interpreters_pools_and_reports() {
    let Some(python) = full() else { return };
    let found = Interpreter::start(&python, limits()).unwrap().safeguards();
    assert_eq!(found.protection, Protection::Full);
    assert!(found.namespaces && found.seccomp && found.landlock > 0 && found.memory);
    assert!(found.processes && found.no_new_privs && found.daemons);
    let pool = Pool::start(&python, limits(), 1).unwrap();
    assert_eq!(pool.safeguards(), found);
    let report = code_interpreter::probe(&python).unwrap();
    assert_eq!(report.safeguards, found);
    assert!(report.probes.len() >= 9);
    assert!(report.probes.iter().all(|probe| probe.held), "{report:?}");
}

#[test]
fn a_level_that_cannot_be_had_is_refused_with_the_probe_and_the_remedy() {
    // A user namespace needs a number of its own, which a limit of 0 denies: as on a kernel that forbids them.
    let path = std::env::current_exe().unwrap();
    let done = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c"])
        .arg("echo 0 > /proc/sys/user/max_user_namespaces && WITHOUT_USER_NAMESPACES=1 exec \"$0\" --exact --nocapture sandboxes::without_user_namespaces")
        .arg(path)
        .output();
    let Ok(done) = done else {
        return skip("there is no `unshare` to take user namespaces away with");
    };
    let told = String::from_utf8_lossy(&done.stdout);
    if !told.contains("running 1 test") {
        return skip(format_args!(
            "user namespaces cannot be taken away: {}",
            String::from_utf8_lossy(&done.stderr)
        ));
    }
    assert!(done.status.success(), "{told}");
}

/// Run by another test, in a process that has none.
#[test]
fn without_user_namespaces() {
    if std::env::var_os("WITHOUT_USER_NAMESPACES").is_none() {
        return;
    }
    let sandbox = Sandbox {
        require: Protection::Full,
        ..Sandbox::default()
    };
    let python = Python::find().unwrap().with_sandbox(sandbox);
    let error = Interpreter::start(&python, Limits::default()).unwrap_err();
    assert!(matches!(&error, Error::ProtectionTooLow { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("unshare a user namespace"), "{message}");
    assert!(message.contains("accept a lower level"), "{message}");
    // And without the requirement there is a lower one.
    let python = python.with_sandbox(Sandbox::default());
    let level = Interpreter::start(&python, Limits::default())
        .unwrap()
        .safeguards()
        .protection;
    assert!(level < Protection::Full);
}

#[test]
fn an_interpreter_that_takes_anothers_place_is_as_good() {
    let Some(python) = full() else { return };
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    let lost = interpreter.driver_pid().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(lost).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(
        interpreter.run(&["import os\nos.getpid()"]).unwrap()[0].output,
        "2"
    );
    assert_ne!(interpreter.driver_pid(), Some(lost));
}

#[test]
fn a_driver_that_is_killed_takes_its_sandboxes_along() {
    let Some(python) = full() else { return };
    let mut interpreter = Interpreter::start(
        &python,
        Limits {
            processes: 7,
            ..limits()
        },
    )
    .unwrap();
    let driver = interpreter.driver_pid().unwrap();
    let killer = std::thread::spawn(move || {
        let children = || {
            let listing = format!("/proc/{driver}/task/{driver}/children");
            std::fs::read_to_string(listing).unwrap_or_default()
        };
        eventually("the sandbox starts", || !children().trim().is_empty());
        let first: u32 = children()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(driver).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        eventually("it ends with its driver", || !is_alive(first));
    });
    // Once in each of two drivers: the second one is not killed, and runs into nothing.
    let shown = interpreter.run(&["import time\ntime.sleep(1)\n5"]).unwrap();
    killer.join().unwrap();
    assert_eq!(shown[0].output, "5");
}

/// The sandbox's root is put together by root, before the driver becomes somebody whom the folder is closed to.
#[test]
fn an_interpreter_in_a_folder_that_is_closed_to_others_works_for_root() {
    if !rustix::process::getuid().is_root() {
        return skip("it takes root to become someone whom a folder is closed to");
    }
    let Some(python) = full() else { return };
    let closed = tempfile::tempdir().unwrap();
    let folder = closed.path().join("venv");
    let made = Command::new(python.path())
        .args(["-m", "venv", "--without-pip", "--symlinks"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(made.success());
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(closed.path(), mode).unwrap();
    let python = Python::at(folder.join("bin/python3"))
        .unwrap()
        .with_sandbox(Sandbox {
            require: Protection::Full,
            ..Sandbox::default()
        });
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    let shown = interpreter
        .run(&["import json, os\nos.getuid() != 0"])
        .unwrap();
    assert_eq!(
        (shown[0].output.as_str(), &shown[0].status),
        ("True", &Status::Ok)
    );
}

#[test]
fn ordinary_programs_find_what_they_need_in_the_sandbox() {
    let Some(python) = full() else { return };
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    for code in [
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 7\nasyncio.run(f())",
        "import subprocess\nint(subprocess.check_output(['echo', '7']))",
        "import subprocess, sys\nint(subprocess.check_output([sys.executable, '-S', '-c', 'print(7)']))",
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('7')\n    f.seek(0)\n    text = f.read()\nint(text)",
        "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool: result = pool.map(int, ['3', '4'])\nsum(result)",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool: result = sum(pool.map(int, '34'))\nresult",
        "import sqlite3\nsqlite3.connect('base').execute('select 7').fetchone()[0]",
        "import shutil, pathlib\npathlib.Path('a').write_text('7')\nshutil.copy2('a', 'b')\nint(open('b').read())",
        "import decimal, datetime, statistics, json, re, heapq, itertools\ndatetime.datetime(2020, 1, 7).day",
        "import os\nwith open('/dev/null', 'w') as f: f.write('x')\n7 if len(os.urandom(7)) == 7 else 0",
        "import ctypes\nctypes.CDLL(None).abs(-7)",
        "len(open('/proc/self/status').read()) and 7",
    ] {
        let shown = interpreter.run(&[code]).unwrap();
        assert_eq!(shown[0].output, "7", "{code}");
    }
}

#[test]
fn a_protected_process_hides_its_environment_from_its_own_user() {
    in_own_process(|| {
        let readable = || {
            std::fs::metadata("/proc/self/environ")
                .map(|found| std::os::unix::fs::MetadataExt::uid(&found))
        };
        let own = rustix::process::getuid().as_raw();
        if own == 0 {
            return skip("root's files look the same before and after");
        }
        assert_eq!(readable().unwrap(), own);
        code_interpreter::protect_this_process().unwrap();
        assert_eq!(readable().unwrap(), 0);
    });
}
