//! Runs Python code that a program does not trust to end: in a fresh process each time, under limits of time, memory and
//! output, with the answers a notebook would show.
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
//! # This is not a security boundary
//!
//! The level of protection built here is [`Protection::ResourceLimits`]: separate processes, `setrlimit`, a scrubbed
//! environment and an empty working folder. It stops accidents - endless loops, endless output, runaway memory, forgotten
//! daemons. It does **not** stop hostile code: that can read every file the user can read, write where the user can
//! write, use the network, and signal the user's other processes. Run code of unknown origin inside a container or a
//! virtual machine. [`Interpreter::safeguards`] tells what is really active on this machine.
//!
//! # How it works
//!
//! ```text
//! Rust --JSON lines--> driver (warm Python, never runs the code) --fork--> worker (runs the cells, then is killed)
//! ```
//!
//! A fresh process so costs 2 to 3 ms of processor time, where the start of an interpreter alone costs ten. Two clocks watch each cell: the worker
//! interrupts itself at its limits, which keeps the variables as a notebook's interrupt does, and the driver kills the
//! worker's whole process group [`Limits::grace`] later. A third clock, in Rust, replaces a driver that does not answer,
//! so a call always returns.
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
//! | [`Session`] | cells one at a time, variables kept between calls |
//! | [`Pool`] | many interpreters, many runs at once, answers in order |
//! | [`cases`] | a program against test cases |
//! | [`asserts`] | a solution against assert tests that run in another process |
//! | [`Verdict`] | what both say: correct, incorrect, or not to be judged |
//! | [`Execution`], [`Status`] | what a cell showed and how it ended |
//! | [`Protection`], [`Safeguards`] | what stands between the code and the machine |
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
mod verdict;

pub use error::{Error, Result};
pub use execution::{Execution, ProgramRun, Status, SyntaxError};
pub use limits::Limits;
pub use protection::{Protection, Safeguards};
pub use verdict::Verdict;

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
