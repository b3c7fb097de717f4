//! One warm driver, and a fresh process for each piece of code.

use std::fmt;
use std::time::Duration;

use crate::driver::Driver;
use crate::limits::WireLimits;
use crate::wire::{Module, Reply, Request};
use crate::{
    Error, Execution, Limits, ProgramRun, Python, Result, Safeguards, Status, SyntaxError,
};

const DRIVER_LOST: &str = "The interpreter was lost while it ran this code";

/// The answer to a call of running code ([`Interpreter::run_with_calls`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallReply {
    /// The code goes on with this text.
    Text(String),
    /// The process is killed where it stands, and its cell is [`Status::Stopped`].
    Stop,
}

/// Runs code in fresh processes forked from one warm Python.
///
/// It is `Send`: keep one per thread, or use a [`Pool`](crate::Pool). A driver that dies or hangs is replaced: the call is
/// repeated once in a new one, and when that is lost too, the code is held responsible ([`Status::Died`]).
pub struct Interpreter {
    python: Python,
    /// Those of the driver.
    started_with: Limits,
    /// Those of the next run.
    limits: Limits,
    safeguards: Safeguards,
    /// None after a loss, until the next call.
    driver: Option<Driver>,
}

impl Interpreter {
    /// Starts the driver and waits until it is ready.
    ///
    /// # Errors
    ///
    /// A limit that makes no sense, a Python that does not start, a module to preload that cannot be imported.
    pub fn start(python: &Python, limits: Limits) -> Result<Self> {
        let (driver, _) = Driver::start(python, &limits)?;
        let mut python = python.clone();
        // One that takes this one's place must be as good: the level is stamped on what comes of all its runs.
        python.sandbox.require = driver.safeguards().protection;
        Ok(Self {
            python,
            started_with: limits.clone(),
            limits,
            safeguards: driver.safeguards(),
            driver: Some(driver),
        })
    }

    /// The safeguards against the code that are active.
    pub fn safeguards(&self) -> Safeguards {
        self.safeguards
    }

    /// The limits of each cell and program that is run now.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Has `work` done with the time and memory of `limits` in place of those that the interpreter was started with: each
    /// [`run`](Self::run), [`run_with_calls`](Self::run_with_calls) and [`run_program`](Self::run_program) in it. All other
    /// limits stay.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use code_interpreter::{Interpreter, Limits, Python, Status};
    ///
    /// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
    /// let short = Limits { wall: Duration::from_millis(100), ..Limits::default() };
    /// let cells = interpreter.under(&short, |interpreter| interpreter.run(&["while True: pass"]))?;
    /// assert_eq!(cells[0].status, Status::TimedOut);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A limit that makes no sense; those of `work`.
    pub fn under<R>(
        &mut self,
        limits: &Limits,
        work: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        limits.check()?;
        let before = std::mem::replace(
            &mut self.limits,
            Limits {
                wall: limits.wall,
                cpu: limits.cpu,
                memory_bytes: limits.memory_bytes,
                ..self.started_with.clone()
            },
        );
        let borrowed = Borrowed {
            interpreter: self,
            before,
        };
        work(borrowed.interpreter)
    }

    /// What a request says of its limits, if they are not those of the driver.
    fn asked_limits(&self) -> Option<WireLimits> {
        (self.limits != self.started_with).then(|| (&self.limits).into())
    }

    /// The process id of the driver, for monitors; None after it was lost, until the next call.
    pub fn driver_pid(&self) -> Option<u32> {
        self.driver.as_ref().map(Driver::pid)
    }

    /// Compiles `code` without running it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use code_interpreter::{Interpreter, Limits, Python};
    ///
    /// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
    /// assert!(interpreter.check_syntax("x = 1")?.is_ok());
    /// let error = interpreter.check_syntax("x = 1\nif x\n    pass")?.unwrap_err();
    /// assert_eq!(error.line, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The outer error is trouble with the driver, the inner one with the code.
    pub fn check_syntax(&mut self, code: &str) -> Result<std::result::Result<(), SyntaxError>> {
        Ok(self.check_syntax_all(&[code])?.pop().unwrap_or(Ok(())))
    }

    /// Compiles many snippets in one exchange: one answer each, in order.
    ///
    /// # Errors
    ///
    /// Trouble with the driver.
    pub fn check_syntax_all<S: AsRef<str>>(
        &mut self,
        snippets: &[S],
    ) -> Result<Vec<std::result::Result<(), SyntaxError>>> {
        const DOING: &str = "checking syntax";
        let snippets: Vec<&str> = snippets.iter().map(AsRef::as_ref).collect();
        let patience = self.limits.patience(snippets.len());
        let request = Request::Syntax {
            snippets: &snippets,
        };
        match self.ask_twice(&request, DOING, patience)? {
            Reply::Syntax(found) if found.len() == snippets.len() => Ok(found
                .into_iter()
                .map(|error| error.map_or(Ok(()), Err))
                .collect()),
            _ => Err(self.confused(DOING)),
        }
    }

    /// Runs `cells` in order in one fresh process; they share their variables, as in a notebook.
    ///
    /// One [`Execution`] per cell. An exception or a limit ends its cell and the next one goes on with the variables that
    /// are there. When the process itself is lost, the cells that remain are [`Status::NotRun`]. Afterwards the process and
    /// all it started are killed, and its folder is removed.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the code.
    pub fn run<S: AsRef<str>>(&mut self, cells: &[S]) -> Result<Vec<Execution>> {
        const DOING: &str = "running cells";
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let request = Request::Run {
            cells: &cells,
            calls: false,
            modules: &[],
            limits: self.asked_limits(),
        };
        let patience = self.limits.patience(cells.len());
        let reply = self.ask_twice(&request, DOING, patience);
        self.executions(reply, DOING, cells.len())
    }

    /// [`run`](Self::run) for code that asks back: in it, `call_out(text)` hands a text to `on_call` and returns the text
    /// that this answers.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use code_interpreter::{CallReply, Interpreter, Limits, Python};
    ///
    /// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
    /// let mut upper = |text: &str| CallReply::Text(text.to_uppercase());
    /// let executions = interpreter.run_with_calls(&["call_out('ab') + call_out('c')"], &mut upper)?;
    /// assert_eq!(executions[0].output, "'ABC'");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// While `on_call` works, the clock of the cell stands still: [`Limits::wall`] is the code's own time, and
    /// [`Execution::wall`] too. `on_call` has to end by itself. Texts are Unicode; a lone surrogate arrives as `?`. A call of
    /// more than 16 MiB, as JSON in ASCII, is a `ValueError` in the code. Whatever else the code writes into the pipe that
    /// its calls take ends its run ([`Status::Died`]); a call that it forges there is a call of its own.
    ///
    /// Unlike `run`, this is not tried again when the driver is lost, for `on_call` has seen its calls.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the code.
    pub fn run_with_calls<S: AsRef<str>>(
        &mut self,
        cells: &[S],
        on_call: &mut dyn FnMut(&str) -> CallReply,
    ) -> Result<Vec<Execution>> {
        self.run_with_modules(cells, &[], on_call)
    }

    /// [`run_with_calls`](Self::run_with_calls) for code that imports modules of this crate's.
    pub(crate) fn run_with_modules<S: AsRef<str>>(
        &mut self,
        cells: &[S],
        modules: &[Module],
        on_call: &mut dyn FnMut(&str) -> CallReply,
    ) -> Result<Vec<Execution>> {
        const DOING: &str = "running cells that call out";
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let request = Request::Run {
            cells: &cells,
            calls: true,
            modules,
            limits: self.asked_limits(),
        };
        let patience = self.limits.patience(cells.len());
        let reply =
            self.with_driver(|driver| driver.ask_with_calls(&request, DOING, patience, on_call));
        self.executions(reply, DOING, cells.len())
    }

    fn executions(
        &mut self,
        reply: Result<Reply>,
        doing: &'static str,
        cells: usize,
    ) -> Result<Vec<Execution>> {
        match reply {
            Ok(Reply::Cells(shown)) if shown.len() == cells => {
                Ok(shown.into_iter().map(Into::into).collect())
            }
            Ok(_) => Err(self.confused(doing)),
            Err(Error::DriverLost { .. }) => Ok((0..cells).map(blamed).collect()),
            Err(error) => Err(error),
        }
    }

    /// Runs a whole program in a fresh process: `__name__` is `"__main__"`, `stdin` is its standard input, nothing is shown
    /// that it does not write.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use code_interpreter::{Interpreter, Limits, Python, Status};
    ///
    /// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
    /// let run = interpreter.run_program("print(int(input()) * 2)", "21\n")?;
    /// assert_eq!((run.stdout.as_str(), run.status), ("42\n", Status::Ok));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the code.
    pub fn run_program(&mut self, source: &str, stdin: &str) -> Result<ProgramRun> {
        const DOING: &str = "running a program";
        let request = Request::Program {
            source,
            stdin,
            limits: self.asked_limits(),
        };
        match self.ask_twice(&request, DOING, self.limits.patience(1)) {
            Ok(Reply::Program(run)) => Ok(run.into()),
            Ok(_) => Err(self.confused(DOING)),
            Err(Error::DriverLost { .. }) => {
                let Execution {
                    output,
                    status,
                    wall,
                    ..
                } = blamed(0);
                Ok(ProgramRun {
                    stdout: String::new(),
                    stderr: output,
                    status,
                    wall,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// For calls without effects, which may be repeated.
    fn ask_twice(
        &mut self,
        request: &Request<'_>,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Reply> {
        match self.ask(request, doing, patience) {
            Err(Error::DriverLost { .. }) => self.ask(request, doing, patience),
            other => other,
        }
    }

    pub(crate) fn ask(
        &mut self,
        request: &Request<'_>,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Reply> {
        self.with_driver(|driver| driver.ask(request, doing, patience))
    }

    fn with_driver(
        &mut self,
        exchange: impl FnOnce(&mut Driver) -> Result<Reply>,
    ) -> Result<Reply> {
        let driver = match &mut self.driver {
            Some(driver) => driver,
            None => self
                .driver
                .insert(Driver::start(&self.python, &self.started_with)?.0),
        };
        let reply = exchange(driver);
        if matches!(reply, Err(Error::DriverLost { .. })) {
            self.driver = None;
        }
        reply
    }

    pub(crate) fn confused(&mut self, doing: &'static str) -> Error {
        match self.driver.take() {
            Some(mut driver) => driver.confused(doing),
            None => Error::Driver {
                doing,
                message: "it is gone".into(),
            },
        }
    }
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interpreter")
            .field("python", &self.python)
            .field("limits", &self.limits)
            .field("safeguards", &self.safeguards)
            .field("driver_pid", &self.driver_pid())
            .finish()
    }
}

/// An interpreter under other limits than its own, which it has again afterwards, come what may.
struct Borrowed<'a> {
    interpreter: &'a mut Interpreter,
    before: Limits,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        std::mem::swap(&mut self.interpreter.limits, &mut self.before);
    }
}

fn blamed(position: usize) -> Execution {
    let (output, status) = if position == 0 {
        (DRIVER_LOST, Status::Died { signal: None })
    } else {
        (
            "[Not run: an earlier cell ended the interpreter]",
            Status::NotRun,
        )
    };
    Execution {
        output: output.into(),
        status,
        truncated: false,
        wall: Duration::ZERO,
    }
}
