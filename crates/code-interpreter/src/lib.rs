//! Runs Python code that a program does not trust: in a fresh process each time, in a sandbox where the machine gives one,
//! under limits of time, memory and output, with the answers a notebook would show.
//!
//! For anyone who executes model-written code by the thousand: actors that solve problems by programs, graders of
//! benchmarks, agents that keep a session.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use code_interpreter::{Interpreter, Limits, Python, Status};
//!
//! let python = Python::find()?;
//! let mut interpreter = Interpreter::start(&python, Limits::default())?;
//!
//! // Cells of one run share their variables; the last expression is shown.
//! let executions = interpreter.run(&["price = 12\nprice * 0.25", "price / 0"])?;
//! assert_eq!(executions[0].output, "3.0");
//! assert!(matches!(&executions[1].status, Status::Exception { kind, .. } if kind == "ZeroDivisionError"));
//!
//! // The next run starts from nothing.
//! assert!(interpreter.run(&["price"])?[0].output.contains("NameError"));
//! # Ok(())
//! # }
//! ```
//!
//! # What holds the code
//!
//! Levels of [`Protection`], found by trying to get out when an interpreter starts, never by reading versions. Store the
//! level with what the code produced: [`Interpreter::safeguards`] tells it, [`probe`] shows all that was tried, and
//! [`Sandbox::require`] refuses less.
//!
//! | level | where | what is held |
//! |---|---|---|
//! | `full` | Linux with user namespaces and Landlock | hostile code: no network, no file, process or memory that is not its own, nothing left afterwards |
//! | `degraded-linux` | Linux with Landlock | network, files, system calls; **not** the sum of what it writes, the memory of several processes together, the list of mounts, and before Linux 6.12 signals to processes of the same user |
//! | `container` | where the user says so ([`Sandbox::in_container`]) | nothing within the container |
//! | `none` | everywhere | accidents: endless loops and output, runaway memory, forgotten daemons |
//!
//! What `full` leaves: the kernel's own mistakes; the time that code takes and others on the machine lack; memory that
//! pipes and sockets hold, which is not counted and bounded by 64 descriptors for each process, half a gigabyte at the
//! default limit of processes; a run's own verdict, if whoever judges lets code speak for itself. In one run the cells are
//! one process: a cell can spoil what later cells of its run show, and no other run.
//!
//! # How it works
//!
//! ```text
//! Rust --JSON lines--> driver (warm Python, never runs the code) --clone--> process 1 (reaps) --fork--> process 2 (the code)
//! ```
//!
//! At `full` the driver is confined itself, once: another user than root, a user namespace, no network, a read-only root
//! put together from the interpreter's folders and the system's libraries, in which home, projects and keys do not exist.
//! For each run it makes new namespaces with a sized `/tmp` and a `/proc` of their own. Process 1 there is the driver's
//! copy, closed to others; it mounts, forks, reaps, counts the memory of all, and takes all along when it ends. Process 2
//! gives up its capabilities, is held by Landlock, limits and a seccomp allowlist, says that it is ready, and only then is
//! given code. What comes through its pipe afterwards is believed only so far as to end this run. All of it is a few
//! system calls through `ctypes` and a filter that Rust compiles, as a library has no program of its own to be started.
//!
//! A fresh process so costs 2 to 3 ms of processor time, in the full sandbox about 5, where the start of an interpreter
//! alone costs ten. Two clocks watch each cell: the worker interrupts itself at its limits, which keeps the variables as a
//! notebook's interrupt does, and the driver kills the worker's whole process group [`Limits::grace`] later. A third clock,
//! in Rust, replaces a driver that does not answer, so a call always returns.
//!
//! Only the standard library is importable unless [`Python::with_site_packages`] says otherwise. Hash seeds and
//! [`random`](https://docs.python.org/3/library/random.html) start from fixed values, so the same code prints the same.
//!
//! # Map
//!
//! | module or type | what |
//! |---|---|
//! | [`Python`] | which interpreter, with which packages |
//! | [`Limits`] | time, memory, output, files, processes |
//! | [`Interpreter`] | syntax checks, runs of cells (that may ask back), whole programs; each in a fresh process |
//! | [`State`] | a notebook that is forked for every branch of a tree, instead of being run again |
//! | [`Session`] | cells one at a time, variables kept between calls |
//! | [`Pool`] | many interpreters, many runs at once, answers in order |
//! | [`cases`] | a program against test cases |
//! | [`asserts`] | a solution against assert tests that run in another process |
//! | [`Verdict`] | what both say: correct, incorrect, or not to be judged |
//! | [`Execution`], [`Status`] | what a cell showed and how it ended |
//! | [`Sandbox`], [`Protection`], [`Safeguards`] | what stands between the code and the machine: asked for, reached |
//! | [`probe`] | what this machine gives, and why not more |
//! | [`protect_this_process`] | hides the caller's own memory and environment |
//!
//! Unix only (Linux and macOS; the weaker points of the latter are listed at [`Safeguards`]).

#[cfg(not(unix))]
compile_error!(
    "code-interpreter needs fork, process groups and resource limits: build it on Linux or macOS, or in WSL"
);

#[cfg(unix)]
pub mod asserts;
#[cfg(unix)]
pub mod cases;
#[cfg(unix)]
mod driver;
mod error;
mod execution;
#[cfg(unix)]
mod interpreter;
mod limits;
mod missing;
#[cfg(unix)]
mod pool;
mod protection;
#[cfg(unix)]
mod python;
#[cfg(unix)]
mod sandbox;
#[cfg(unix)]
mod session;
#[cfg(unix)]
mod state;
mod verdict;
#[cfg(unix)]
mod wire;

pub use error::{Error, Result};
pub use execution::{Execution, ProgramRun, Status, SyntaxError};
pub use limits::Limits;
pub use protection::{Protection, Safeguards};
pub use verdict::{Cause, Verdict};

#[cfg(unix)]
pub use interpreter::{CallReply, Interpreter};
#[cfg(unix)]
pub use pool::Pool;
#[cfg(unix)]
pub use python::Python;
#[cfg(unix)]
pub use sandbox::{ProbeResult, Report, Sandbox, probe, protect_this_process};
#[cfg(unix)]
pub use session::Session;
#[cfg(unix)]
pub use state::{Fork, State};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
