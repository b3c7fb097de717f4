//! Cells one at a time, with variables kept between the calls.

use crate::wire::{Reply, Request};
use crate::{Error, Execution, Interpreter, Limits, Python, Result, Safeguards, Status};

/// A notebook: each cell finds the variables the earlier ones left.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use code_interpreter::{Limits, Python, Session};
///
/// let mut session = Session::start(&Python::find()?, Limits::default())?;
/// session.execute("total = sum(range(5))")?;
/// assert_eq!(session.execute("total * 2")?.output, "20");
/// # Ok(())
/// # }
/// ```
///
/// An exception or a limit ends the cell and keeps the variables. Code that ends the process, or goes on
/// [`Limits::grace`] after it was interrupted, loses them: the next cell starts from nothing and
/// [`restarts`](Self::restarts) has counted it.
///
/// As long as the process lives, a session shows what [`Interpreter::run`] shows for the same cells.
#[derive(Debug)]
pub struct Session {
    interpreter: Interpreter,
    restarts: usize,
}

impl Session {
    /// Starts a session with its own driver process.
    ///
    /// # Errors
    ///
    /// As [`Interpreter::start`].
    pub fn start(python: &Python, limits: Limits) -> Result<Self> {
        Ok(Self {
            interpreter: Interpreter::start(python, limits)?,
            restarts: 0,
        })
    }

    /// Runs one cell.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the code.
    pub fn execute(&mut self, code: &str) -> Result<Execution> {
        const DOING: &str = "running a cell of a session";
        let patience = self.interpreter.limits().patience(1);
        match self
            .interpreter
            .ask(&Request::Session { cell: code }, DOING, patience)
        {
            Ok(Reply::Session(answer)) => {
                self.restarts += usize::from(answer.was_lost) + usize::from(answer.is_lost);
                Ok(answer.cell.into())
            }
            Ok(_) => Err(self.interpreter.confused(DOING)),
            // Not repeated: the variables are gone, and with them what the cell needs.
            Err(Error::DriverLost { reason, .. }) => {
                self.restarts += 1;
                Ok(Execution {
                    output: format!("The interpreter was lost: {reason}; its variables are lost"),
                    status: Status::Died { signal: None },
                    truncated: false,
                    wall: std::time::Duration::ZERO,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Forgets all variables and ends all the session has started.
    ///
    /// # Errors
    ///
    /// Trouble with the machine.
    pub fn reset(&mut self) -> Result<()> {
        const DOING: &str = "resetting a session";
        let patience = self.interpreter.limits().patience(1);
        match self.interpreter.ask(&Request::Reset, DOING, patience) {
            // A driver that is lost has lost the variables too, and the next call starts another.
            Ok(Reply::Reset(_)) | Err(Error::DriverLost { .. }) => Ok(()),
            Ok(_) => Err(self.interpreter.confused(DOING)),
            Err(error) => Err(error),
        }
    }

    /// The interpreter of the session, for code that runs in a fresh process beside it. A driver that is lost there takes the
    /// session's variables along.
    pub fn interpreter(&mut self) -> &mut Interpreter {
        &mut self.interpreter
    }

    /// How often the variables were lost with their process; [`reset`](Self::reset) is not counted.
    pub fn restarts(&self) -> usize {
        self.restarts
    }

    /// The safeguards against the code that are active.
    pub fn safeguards(&self) -> Safeguards {
        self.interpreter.safeguards()
    }
}
