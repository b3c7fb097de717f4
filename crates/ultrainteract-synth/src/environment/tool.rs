//! Tools: functions that the code of actions can call, computed outside the sandbox.

use code_interpreter::CallReply;

/// A function of one text, which the code of actions calls by its name: a search, a look-up.
///
/// It is computed in this process, not in the sandbox: treat the argument as what a stranger wrote, and end soon.
pub trait Tool: Send + Sync {
    /// Its name, a Python identifier.
    fn name(&self) -> &str;

    /// What it does, in a line or two, for the actor.
    fn description(&self) -> &str;

    /// What it says to an argument.
    fn call(&self, argument: &str) -> String;
}

/// The cell that defines a tool in the sandbox.
pub(super) fn definition(tool: &dyn Tool) -> String {
    let name = tool.name();
    format!(
        "def {name}(query):\n    if not isinstance(query, str):\n        raise TypeError('{name}() takes a string')\n    return \
         call_out(query)"
    )
}

/// Answers the calls of running code.
pub(super) fn answer(tool: &dyn Tool, argument: &str) -> CallReply {
    CallReply::Text(tool.call(argument))
}
