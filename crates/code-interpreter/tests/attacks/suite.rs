//! One attack after another on one interpreter: what it is aimed at outside, and what is to be found after each.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use code_interpreter::cases::{Case, CaseOptions, Outcome, run_cases};
use code_interpreter::{Execution, Interpreter, Limits, Protection, Python, Sandbox, Status};
use tempfile::TempDir;

/// How a cell may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ran to its end and printed what held it.
    Held,
    Died,
    TimedOut,
    Raised,
    OutOfMemory,
    OutputLimit,
}

/// A piece of Python that tries something and prints `THROUGH` where it succeeds, `held` where it does not.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    pub code: &'static str,
    /// How it may end where it is held.
    pub ends: &'static [End],
    /// Whether it must succeed without a sandbox, which proves that it tries what it says.
    pub control: bool,
    /// What [`Protection::DegradedLinux`] lacks, so that it gets through there.
    pub gap: Option<&'static str>,
    /// Whether it would hit others below `Full` on a Linux whose Landlock holds no signals.
    pub needs_scope: bool,
}

pub const fn ends(name: &'static str, code: &'static str, ends: &'static [End]) -> Attack {
    Attack {
        name,
        code,
        ends,
        control: false,
        gap: None,
        needs_scope: false,
    }
}

pub const fn held(name: &'static str, code: &'static str) -> Attack {
    ends(name, code, &[End::Held])
}

impl Attack {
    pub const fn control(mut self) -> Self {
        self.control = true;
        self
    }

    pub const fn gap(mut self, why: &'static str) -> Self {
        self.gap = Some(why);
        self
    }

    pub const fn needs_scope(mut self) -> Self {
        self.needs_scope = true;
        self
    }
}

const PRELUDE: &str = "import ctypes, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(f):
    try: result = f()
    except (OSError, AttributeError, ValueError) as error: print('held', type(error).__name__, error)
    else:
        if result: print('THROUGH', repr(result)[:200])
        else: print('held', repr(result))
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result or True
";

pub fn limits() -> Limits {
    Limits {
        wall: Duration::from_secs(2),
        cpu: Duration::from_secs(2),
        grace: Duration::from_millis(500),
        memory_bytes: 128 << 20,
        total_memory_bytes: 256 << 20,
        output_bytes: 256 << 10,
        file_bytes: 1 << 20,
        disk_bytes: 16 << 20,
        files: 256,
        processes: 16,
        ..Limits::default()
    }
}

/// A Python at a level, or why there is none here: the first on the path, else the system's.
pub fn python_at(level: Protection) -> Result<Python, String> {
    let sandbox = Sandbox {
        require: level,
        at_most: level,
        ..Sandbox::default()
    };
    let mut reasons = Vec::new();
    for python in [Python::find(), Python::at("/usr/bin/python3")] {
        let started = python.and_then(|python| {
            let python = python.with_sandbox(sandbox.clone());
            Interpreter::start(&python, limits()).map(|_| python)
        });
        match started {
            Ok(python) => return Ok(python),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(reasons.join("; "))
}

/// What the attacks are aimed at, and what they may have touched.
pub struct Outside {
    folder: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    named: UnixListener,
    hidden: UnixListener,
    datagrams: UnixDatagram,
    hidden_name: String,
    before: Traces,
}

/// What runs leave behind on a machine.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    folders: BTreeSet<PathBuf>,
    shared_memory: BTreeSet<PathBuf>,
    segments: usize,
    semaphores: usize,
    queues: usize,
}

impl Traces {
    fn now() -> Self {
        // Others use this machine too: what counts is what belongs to the user that the code runs as.
        let user = match rustix::process::getuid().as_raw() {
            0 => Sandbox::default().user,
            user => user,
        };
        let list = |folder: &Path, ours: &dyn Fn(&fs::DirEntry) -> bool| -> BTreeSet<PathBuf> {
            fs::read_dir(folder)
                .map(|entries| {
                    let entries = entries.flatten().filter(|entry| ours(entry));
                    entries.map(|entry| entry.path()).collect()
                })
                .unwrap_or_default()
        };
        let mine = format!("code-interpreter-{}-", std::process::id());
        let lines = |kind: &str, column: usize| {
            let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
            let owner = user.to_string();
            table
                .lines()
                .filter(|line| line.split_whitespace().nth(column) == Some(owner.as_str()))
                .count()
        };
        Self {
            folders: list(&std::env::temp_dir(), &|entry| {
                entry.file_name().to_string_lossy().starts_with(&mine)
            }),
            shared_memory: list(Path::new("/dev/shm"), &|entry| {
                entry.metadata().is_ok_and(|found| found.uid() == user)
            }),
            segments: lines("shm", 7),
            semaphores: lines("sem", 4),
            queues: lines("msg", 7),
        }
    }
}

impl Outside {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("attacked-")
            .tempdir()
            .unwrap();
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        open(folder.path(), 0o777);
        let secret = folder.path().join("secret");
        fs::write(&secret, "the gold answer is 42").unwrap();
        open(&secret, 0o666);
        let named = UnixListener::bind(folder.path().join("socket")).unwrap();
        open(&folder.path().join("socket"), 0o777);
        let datagrams = UnixDatagram::bind(folder.path().join("datagrams")).unwrap();
        open(&folder.path().join("datagrams"), 0o777);
        let hidden_name = format!("attacked-{}", std::process::id());
        let hidden =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&hidden_name).unwrap())
                .unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        named.set_nonblocking(true).unwrap();
        hidden.set_nonblocking(true).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        Self {
            folder,
            tcp,
            udp,
            named,
            hidden,
            datagrams,
            hidden_name,
            before: Traces::now(),
        }
    }

    /// To be called when the interpreter stands, whose own folder then counts as there.
    pub fn note(&mut self) {
        self.before = Traces::now();
    }

    fn aim(&self, code: &str, driver: u32) -> String {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        PRELUDE.to_owned()
            + &code
                .replace("{PORT}", &self.tcp.local_addr().unwrap().port().to_string())
                .replace("{UDP}", &self.udp.local_addr().unwrap().port().to_string())
                .replace("{ABSTRACT}", &self.hidden_name)
                .replace("{SOCKET}", &path("socket"))
                .replace("{DATAGRAMS}", &path("datagrams"))
                .replace("{SECRET}", &path("secret"))
                .replace("{OUTSIDE}", &self.folder.path().display().to_string())
                .replace("{PID}", &std::process::id().to_string())
                .replace("{DRIVER}", &driver.to_string())
    }

    /// What an attack has reached out here; empty if nothing.
    fn breaches(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |reached: bool, what: &str| {
            if reached {
                found.push(what.to_owned());
            }
        };
        note(self.tcp.accept().is_ok(), "the TCP port was reached");
        note(self.named.accept().is_ok(), "the unix socket was reached");
        note(
            self.hidden.accept().is_ok(),
            "the abstract socket was reached",
        );
        let mut room = [0; 8];
        note(self.udp.recv(&mut room).is_ok(), "a UDP packet came");
        note(self.datagrams.recv(&mut room).is_ok(), "a datagram came");
        let secret = fs::read_to_string(self.folder.path().join("secret"));
        note(
            secret.as_deref().ok() != Some("the gold answer is 42"),
            "the secret was changed",
        );
        note(
            fs::read_dir(self.folder.path()).unwrap().count() != 3,
            "a file was left outside",
        );
        let traces = Traces::now();
        if traces != self.before {
            found.push(format!("left behind: {traces:?}, before {:?}", self.before));
        }
        found
    }
}

/// Runs one attack and returns all that is wrong about it.
pub fn attack(interpreter: &mut Interpreter, outside: &Outside, attack: &Attack) -> Vec<String> {
    let driver = interpreter.driver_pid().unwrap();
    let shown = interpreter
        .run(&[outside.aim(attack.code, driver)])
        .map(|mut shown| shown.remove(0));
    let mut wrong = match &shown {
        Err(error) => vec![format!("an action gave an error: {error}")],
        Ok(shown) => judge(shown, attack),
    };
    wrong.extend(outside.breaches());
    wrong.extend(aftermath(interpreter, driver));
    wrong
        .iter()
        .map(|what| format!("{}: {what}", attack.name))
        .collect()
}

fn judge(shown: &Execution, attack: &Attack) -> Vec<String> {
    let mut wrong = Vec::new();
    if is_through(shown) {
        wrong.push(format!("it got through: {}", shown.output));
    }
    let end = match &shown.status {
        Status::Ok if shown.output.contains("held") => End::Held,
        Status::Died { .. } => End::Died,
        Status::TimedOut => End::TimedOut,
        Status::OutOfMemory => End::OutOfMemory,
        Status::OutputLimit => End::OutputLimit,
        Status::Exception { .. } => End::Raised,
        other => {
            return vec![format!(
                "ended as {other:?} without a word: {}",
                shown.output
            )];
        }
    };
    if !attack.ends.contains(&end) {
        wrong.push(format!(
            "ended as {:?} ({}), expected {:?}",
            shown.status, shown.output, attack.ends
        ));
    }
    wrong
}

/// The next honest runs are judged right, by the same driver, with nothing left of the attack.
fn aftermath(interpreter: &mut Interpreter, driver: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    let children = fs::read_to_string(format!("/proc/{driver}/task/{driver}/children"));
    match children.as_deref().map(str::trim) {
        Ok("") => {}
        other => wrong.push(format!("processes of the driver's are left: {other:?}")),
    }
    let case = |expected: &str| Case::new("20 22\n", expected);
    let program = "print(sum(map(int, input().split())))";
    match run_cases(
        interpreter,
        program,
        &[case("42"), case("41")],
        &CaseOptions::default(),
    ) {
        Ok(results)
            if results[0].outcome == Outcome::Passed
                && matches!(results[1].outcome, Outcome::WrongOutput(_)) => {}
        other => wrong.push(format!("the next program was misjudged: {other:?}")),
    }
    match interpreter.run(&["import os, random\nx = 6\nx * 7, os.listdir(), random.random()"]) {
        Ok(shown) if shown[0].output == "(42, [], 0.8444218515250481)" => {}
        other => wrong.push(format!("the next run was wrong: {other:?}")),
    }
    if interpreter.driver_pid() != Some(driver) {
        wrong.push("the driver was lost".into());
    }
    wrong
}

/// Whether an attack succeeds, for one that is expected to.
pub fn succeeds(interpreter: &mut Interpreter, outside: &Outside, attack: &Attack) -> bool {
    let driver = interpreter.driver_pid().unwrap();
    let shown = interpreter
        .run(&[outside.aim(attack.code, driver)])
        .unwrap()
        .remove(0);
    is_through(&shown)
}

/// A traceback quotes the code, with a number before each line.
fn is_through(shown: &Execution) -> bool {
    shown.output.lines().any(|line| line.starts_with("THROUGH"))
}
