//! The actions that answer one history: each goes on from what the code before it left.

use code_interpreter::{Execution, Interpreter, Protection, Result, State, Status};

use super::{Tool, tool};

/// Runs the cells of each branch after those of the history, as if in a notebook of its own: one list of executions a branch,
/// of its own cells.
///
/// Cells of the history that did not come to an end (they ran into a limit, or took their process down) are left out. Where
/// the sandbox can keep it, the history is run once and forked for each of several branches; where it cannot, or where the
/// code left files, it is run again for each.
pub(super) fn run_branches(
    interpreter: &mut Interpreter,
    history: &[String],
    branches: &[&[String]],
) -> Result<Vec<Vec<Execution>>> {
    let start = match branches.len() {
        0 | 1 => None,
        _ => kept(interpreter, history)?,
    };
    let mut history = history.to_vec();
    let mut all = Vec::with_capacity(branches.len());
    for branch in branches {
        let forked = match &start {
            Some(state) => interpreter.run_on_fork(state, branch, false)?,
            None => None,
        };
        all.push(match forked {
            Some(fork) => fork.executions,
            None => replayed(&mut history, branch, |cells| interpreter.run(cells))?,
        });
    }
    if let Some(state) = start {
        interpreter.close(state)?;
    }
    Ok(all)
}

/// Runs the cells of a branch after the history, in one process; what of the history does not come to an end is taken out of it.
fn replayed(
    history: &mut Vec<String>,
    branch: &[String],
    mut run: impl FnMut(&[String]) -> Result<Vec<Execution>>,
) -> Result<Vec<Execution>> {
    loop {
        let mut cells = history.clone();
        cells.extend_from_slice(branch);
        let mut runs = run(&cells)?;
        let own = runs.split_off(history.len().min(runs.len()));
        match runs.iter().position(|run| !came_to_an_end(run)) {
            None => return Ok(own),
            // Only the first: what comes after it may not have been run at all.
            Some(endless) => history.remove(endless),
        };
    }
}

/// The same, for code that can call a tool. Calls are answered by this process, which a state cannot wait for, so the history is
/// run again for each branch.
pub(super) fn run_with_tool(
    interpreter: &mut Interpreter,
    tool: &dyn Tool,
    history: &[String],
    branches: &[&[String]],
) -> Result<Vec<Vec<Execution>>> {
    let mut on_call = |argument: &str| tool::answer(tool, argument);
    let mut history = history.to_vec();
    let mut all = Vec::with_capacity(branches.len());
    for branch in branches {
        all.push(replayed(&mut history, branch, |cells| {
            let mut defined = vec![tool::definition(tool)];
            defined.extend_from_slice(cells);
            let mut runs = interpreter.run_with_calls(&defined, &mut on_call)?;
            Ok(runs.split_off(1.min(runs.len())))
        })?);
    }
    Ok(all)
}

/// A state in which the history has been run; none where it cannot be kept.
fn kept(interpreter: &mut Interpreter, history: &[String]) -> Result<Option<State>> {
    if history.is_empty() || interpreter.safeguards().protection < Protection::Full {
        return Ok(None);
    }
    let mut state = interpreter.open()?;
    for cell in history {
        let Some(fork) = interpreter.run_on_fork(&state, &[cell], true)? else {
            interpreter.close(state)?;
            return Ok(None);
        };
        let is_kept = !fork.is_dirty && fork.executions.iter().all(came_to_an_end);
        match fork.child {
            Some(child) if is_kept => interpreter.close(std::mem::replace(&mut state, child))?,
            Some(child) => interpreter.close(child)?,
            None => {}
        }
        if fork.is_dirty {
            interpreter.close(state)?;
            return Ok(None);
        }
    }
    Ok(Some(state))
}

fn came_to_an_end(run: &Execution) -> bool {
    matches!(run.status, Status::Ok | Status::Exception { .. })
}
