//! States of a notebook that branch: what runs in a fork leaves the state as it was.

use crate::wire::{Reply, Request};
use crate::{Error, Execution, Interpreter, Result};

/// A notebook's variables after some cells, kept in a process of their own within the interpreter's sandbox.
///
/// For trees of conversations: every branch goes on in a fork of its parent's process, in a millisecond, where running the
/// cells before it again takes as long as they took. It is a handle; [`Interpreter::close`] lets the process go.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use code_interpreter::{Interpreter, Limits, Python};
///
/// let mut interpreter = Interpreter::start(&Python::find()?, Limits::default())?;
/// let start = interpreter.open()?; // in the full sandbox only
/// let first = interpreter.run_on_fork(&start, &["x = 1"], true)?.expect("nothing has run yet");
/// let state = first.child.expect("its process lives");
/// for cell in ["x + 1", "x + 2"] {
///     match interpreter.run_on_fork(&state, &[cell], false)? {
///         Some(fork) => println!("{}", fork.executions[0].output),
///         None => println!("{}", interpreter.run(&["x = 1", cell])?[1].output), // the fallback
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    number: u64,
    /// The driver that has it: with another one it is gone.
    driver: u32,
}

/// What came of cells in a fork.
#[derive(Debug, PartialEq)]
pub struct Fork {
    /// One for each cell.
    pub executions: Vec<Execution>,
    /// The state after them, if it was to be kept and its process lives.
    pub child: Option<State>,
    /// The code has left files or ended a state: no state of this sandbox can be forked any more, the child included, and
    /// the cells of its branches are to be run again.
    pub is_dirty: bool,
}

impl Interpreter {
    /// Opens a sandbox with a state in which nothing has run.
    ///
    /// # Errors
    ///
    /// Trouble with the machine; below [`Protection::Full`](crate::Protection::Full) states cannot be kept apart, and
    /// [`run`](Self::run) is what there is.
    pub fn open(&mut self) -> Result<State> {
        const DOING: &str = "opening a state";
        match self.ask(&Request::Open, DOING, self.limits().patience(1))? {
            Reply::Opened(number) => Ok(State {
                number,
                driver: self.driver_pid().unwrap_or_default(),
            }),
            _ => Err(self.confused(DOING)),
        }
    }

    /// Runs `cells` in a fork of `state`, as [`run`](Self::run) would after the cells that led to it. With `keep` the fork is a
    /// state itself afterwards. Processes that the cells started are ended with them.
    ///
    /// None if the state is gone or is not what it was, or cannot be forked: it has threads or open files, there are 16
    /// of its sandbox, an earlier fork has left files. The cells before are then to be run again.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the code.
    pub fn run_on_fork<S: AsRef<str>>(
        &mut self,
        state: &State,
        cells: &[S],
        keep: bool,
    ) -> Result<Option<Fork>> {
        const DOING: &str = "running cells in a fork";
        if self.driver_pid() != Some(state.driver) {
            return Ok(None);
        }
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let request = Request::Fork {
            state: state.number,
            cells: &cells,
            keep,
        };
        match self.ask(&request, DOING, self.limits().patience(cells.len() + 2)) {
            Ok(Reply::Forked(None)) => Ok(None),
            Ok(Reply::Forked(Some(fork))) if fork.cells.len() == cells.len() => Ok(Some(Fork {
                executions: fork.cells.into_iter().map(Into::into).collect(),
                child: fork.kept.map(|number| State {
                    number,
                    driver: state.driver,
                }),
                is_dirty: fork.dirty,
            })),
            Ok(_) => Err(self.confused(DOING)),
            // With the driver all of its states are gone.
            Err(Error::DriverLost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets a state go; its sandbox ends with the last one.
    ///
    /// # Errors
    ///
    /// Trouble with the machine.
    pub fn close(&mut self, state: State) -> Result<()> {
        const DOING: &str = "closing a state";
        if self.driver_pid() != Some(state.driver) {
            return Ok(());
        }
        let request = Request::Close {
            state: state.number,
        };
        match self.ask(&request, DOING, self.limits().patience(1)) {
            Ok(Reply::Reset(())) | Err(Error::DriverLost { .. }) => Ok(()),
            Ok(_) => Err(self.confused(DOING)),
            Err(error) => Err(error),
        }
    }
}
