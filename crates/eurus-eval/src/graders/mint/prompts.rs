//! What the model is told first.

use super::Settings;
use super::texts::{hides_options, options};

/// The first message: the template with the demonstration and the task in their places, and no tools but Python.
///
/// `template` and `demonstration` are texts that MINT publishes; the template has `{max_total_steps}`,
/// `{max_propose_solution}`, `{tool_desc}`, `{in_context_example}` and `{task_prompt}`.
pub fn first_message(
    template: &str,
    demonstration: &str,
    task_prompt: &str,
    settings: &Settings,
) -> String {
    // The texts come last, so that nothing in them is taken for a place.
    let (steps, proposals) = (settings.max_steps, settings.max_proposals);
    let (before, rest) = template
        .split_once("{in_context_example}")
        .unwrap_or((template, ""));
    let (between, after) = rest.split_once("{task_prompt}").unwrap_or((rest, ""));
    let filled = |part: &str| {
        part.replace("{max_total_steps}", &steps.to_string())
            .replace("{max_propose_solution}", &proposals.to_string())
            .replace("{tool_desc}", "")
    };
    let (before, between, after) = (filled(before), filled(between), filled(after));
    format!("{before}{demonstration}{between}Task:\n{task_prompt}{after}")
}

/// The task of a problem of HumanEval.
pub fn human_eval_prompt(prompt: &str) -> String {
    format!("Complete the following code:\n\n{prompt}")
}

/// The task of a problem of MBPP, which is published as a docstring.
pub fn mbpp_prompt(prompt: &str) -> String {
    prompt.replace("\"\"\"", "").trim().to_owned()
}

/// The task of a problem of MMLU: with its options, unless [`hides_options`] says otherwise.
pub fn mmlu_prompt(prompt: &str) -> &str {
    match prompt.rsplit_once("Options: ") {
        Some((question, _)) if hides_options(&options(prompt)) => question.trim_end(),
        _ => prompt,
    }
}
