//! The actions that answer one history: each goes on from what the code before it left.

use code_interpreter::{Execution, Interpreter, Protection, Result, State, Status};

use super::{Tool, tool};

/// Runs the cells of each branch after those of the history, as if in a notebook of its own: one list of executions a branch,
/// of its own cells.
///
/// Cells of the history that did not come to an end (they ran into a limit, or took their process down) are left out. The
/// history is run once and forked for each branch, where the sandbox can keep it; where it cannot, or where the code left
/// files, it is run again for each.
pub(super) fn run_branches(
    interpreter: &mut Interpreter,
    history: &[String],
    branches: &[&[String]],
) -> Result<Vec<Vec<Execution>>> {
    let mut replay = None;
    let start = kept(interpreter, history)?;
    let mut all = Vec::with_capacity(branches.len());
    for branch in branches {
        let forked = match &start {
            Some(state) => interpreter.run_on_fork(state, branch, false)?,
            None => None,
        };
        if let Some(fork) = forked {
            all.push(fork.executions);
            continue;
        }
        let before = match &replay {
            Some(cells) => cells,
            None => replay.insert(ending(interpreter, history)?),
        };
        let mut cells = before.clone();
        cells.extend_from_slice(branch);
        let mut runs = interpreter.run(&cells)?;
        all.push(runs.split_off(before.len().min(runs.len())));
    }
    if let Some(state) = start {
        interpreter.close(state)?;
    }
    Ok(all)
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
    let mut before = vec![tool::definition(tool)];
    before.extend_from_slice(history);
    while before.len() > 1 {
        let runs = interpreter.run_with_calls(&before, &mut on_call)?;
        match runs.iter().position(|run| !came_to_an_end(run)) {
            None => break,
            Some(endless) => before.remove(endless.max(1)),
        };
    }
    let mut all = Vec::with_capacity(branches.len());
    for branch in branches {
        let mut cells = before.clone();
        cells.extend_from_slice(branch);
        let mut runs = interpreter.run_with_calls(&cells, &mut on_call)?;
        all.push(runs.split_off(before.len().min(runs.len())));
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

/// The cells of the history less those that do not come to an end.
fn ending(interpreter: &mut Interpreter, history: &[String]) -> Result<Vec<String>> {
    let mut cells = history.to_vec();
    while !cells.is_empty() {
        let runs = interpreter.run(&cells)?;
        match runs.iter().position(|run| !came_to_an_end(run)) {
            None => break,
            // Only the first: what comes after it may not have been run at all.
            Some(endless) => cells.remove(endless),
        };
    }
    Ok(cells)
}

fn came_to_an_end(run: &Execution) -> bool {
    matches!(run.status, Status::Ok | Status::Exception { .. })
}
