//! The words that models are asked with: templates, which a user may replace file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior, Value, context};
use ultrainteract::Schema;

use crate::{Error, Gold, Problem, Result, seed};
use ultrainteract::nearest::nearest;

/// A template: its name, which with `.j2` is that of its file, its text, and the variables it may use.
struct Template {
    name: &'static str,
    text: &'static str,
    variables: &'static [&'static str],
}

const ACTOR: Template = Template {
    name: "actor",
    text: include_str!("actor.j2"),
    variables: &[
        "task",
        "dataset",
        "schema",
        "gold",
        "entry_point",
        "choices",
        "turn",
        "max_turns",
        "tool",
    ],
};
const CRITIC: Template = Template {
    name: "critic",
    text: include_str!("critic.j2"),
    variables: &[
        "problem",
        "history",
        "action",
        "execution",
        "answer",
        "solution",
        "gold",
        "ground_truth",
    ],
};
const TEACH_CODE: Template = teacher("teach_code", include_str!("teach_code.j2"));
const TEACH_WORDS: Template = teacher("teach_words", include_str!("teach_words.j2"));
const TEACH_PROGRAM: Template = teacher("teach_program", include_str!("teach_program.j2"));
const TO_PROGRAM: Template = teacher(
    "rationale_to_program",
    include_str!("rationale_to_program.j2"),
);

const ALL: [&Template; 6] = [
    &ACTOR,
    &CRITIC,
    &TEACH_CODE,
    &TEACH_WORDS,
    &TEACH_PROGRAM,
    &TO_PROGRAM,
];

const fn teacher(name: &'static str, text: &'static str) -> Template {
    Template {
        name,
        text,
        variables: &["problem", "solution", "mask", "entry_point"],
    }
}

/// The words that actors, critic and teacher are asked with.
///
/// The texts of the paper's prompts are not published; these are ours. Each is a [minijinja](https://docs.rs/minijinja)
/// template, and [`from_folder`](Self::from_folder) replaces those that a folder has a file of:
///
/// | file | what | variables |
/// | --- | --- | --- |
/// | `actor.j2` | system message of every action | `task`, `dataset`, `schema` (`chain_of_thought`, `modular_programming` or none), `gold` (`answer`, `choice`, `tests`, `asserts`), `entry_point`, `choices`, `turn`, `max_turns`, `tool` (`name`, `description`) |
/// | `critic.j2` | asks for a critique | `problem`, `history`, `action`, `execution`, `answer`, `solution`, `gold`, `ground_truth` |
/// | `teach_code.j2` | has a reference program explained | `problem`, `solution`, `mask`, `entry_point` |
/// | `teach_words.j2` | has a worked solution with a hidden answer followed | the same |
/// | `teach_program.j2` | has a program's plan written | the same |
/// | `rationale_to_program.j2` | has a worked solution turned into a program | the same |
///
/// ```
/// use ultrainteract_synth::Prompts;
///
/// let prompts = Prompts::default();
/// // Another text is another fingerprint; they are kept with what was drawn.
/// assert_eq!(prompts.fingerprints().len(), 6);
/// ```
#[derive(Debug, Clone)]
pub struct Prompts {
    environment: Environment<'static>,
    fingerprints: BTreeMap<&'static str, String>,
}

/// What the actor's system message is made from.
pub(crate) struct ActorView<'a> {
    pub problem: &'a Problem,
    pub schema: Option<Schema>,
    pub turn: usize,
    pub max_turns: usize,
    /// Name and description of the tool that code can call.
    pub tool: Option<(&'a str, &'a str)>,
}

/// What a teacher's message is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lesson {
    Code,
    Words,
    Program,
    ToProgram,
}

/// What the critic's message is made from.
pub(crate) struct CriticView<'a> {
    pub problem: &'a Problem,
    pub history: &'a str,
    pub action: &'a str,
    pub execution: Option<&'a str>,
    pub answer: Option<&'a str>,
}

/// What stands for the answer in a solution that hides it.
pub(crate) const MASK: &str = "[?]";

impl Default for Prompts {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut prompts = Self {
            environment,
            fingerprints: BTreeMap::new(),
        };
        for template in ALL {
            // That these parse is tested; one that did not would be told of when it is used.
            let _ = prompts.set(template, template.text.to_owned());
        }
        prompts
    }
}

impl Prompts {
    /// Replaces the templates that the folder has a file of.
    ///
    /// # Errors
    ///
    /// When the folder or a file cannot be read, a `.j2` file is none of these templates, or a template is broken or uses a
    /// variable that it does not have.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut prompts = Self::default();
        for path in files(folder).map_err(|source| unreadable(folder, source))? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let Some(template) = ALL.iter().find(|it| it.name == stem) else {
                let names: Vec<&str> = ALL.iter().map(|it| it.name).collect();
                let meant = nearest(&stem, &names);
                return Err(prompt_error(
                    &path,
                    match meant {
                        Some(name) => format!(
                            "is not a template of tree construction; did you mean {name}.j2?"
                        ),
                        None => format!(
                            "is not a template of tree construction; these are {}",
                            names.join(", ")
                        ),
                    },
                ));
            };
            let text = fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
            prompts
                .set(template, text)
                .map_err(|problem| prompt_error(&path, problem))?;
        }
        Ok(prompts)
    }

    fn set(&mut self, template: &Template, text: String) -> std::result::Result<(), String> {
        let fingerprint = seed::fingerprint(&text);
        self.environment
            .add_template_owned(template.name, text)
            .map_err(|error| format!("is no template: {error:#}"))?;
        let parsed = self.environment.get_template(template.name);
        let parsed = parsed.map_err(|error| format!("is no template: {error:#}"))?;
        let known: BTreeSet<&str> = template.variables.iter().copied().collect();
        let used = parsed.undeclared_variables(false);
        if let Some(unknown) = used.iter().find(|name| !known.contains(name.as_str())) {
            return Err(format!(
                "uses the variable `{unknown}`, which it does not have; it has {}",
                template.variables.join(", ")
            ));
        }
        self.fingerprints.insert(template.name, fingerprint);
        Ok(())
    }

    /// A short hash of each template's text, by its name.
    pub fn fingerprints(&self) -> &BTreeMap<&'static str, String> {
        &self.fingerprints
    }

    pub(crate) fn actor(&self, view: &ActorView<'_>) -> Result<String> {
        let problem = view.problem;
        let choices = match &problem.gold {
            Gold::Choice { choices, .. } => choices.clone(),
            _ => Vec::new(),
        };
        self.render(
            &ACTOR,
            context! {
                task => problem.task.as_str(),
                dataset => problem.dataset.as_str(),
                schema => view.schema.map(schema_name),
                gold => problem.gold.kind(),
                entry_point => entry_point(&problem.gold),
                choices,
                turn => view.turn,
                max_turns => view.max_turns,
                tool => view.tool.map(|(name, description)| context! { name, description }),
            },
        )
    }

    pub(crate) fn critic(&self, view: &CriticView<'_>) -> Result<String> {
        let problem = view.problem;
        self.render(
            &CRITIC,
            context! {
                problem => problem.instruction.as_str(),
                history => view.history,
                action => view.action,
                execution => view.execution.unwrap_or("(no code)"),
                answer => view.answer.unwrap_or("(none)"),
                gold => problem.gold.kind(),
                solution => problem.rationale().unwrap_or("(none)"),
                ground_truth => problem.ground_truth().unwrap_or("(none)".into()).into_owned(),
            },
        )
    }

    pub(crate) fn teacher(
        &self,
        lesson: Lesson,
        problem: &Problem,
        solution: &str,
    ) -> Result<String> {
        let template = match lesson {
            Lesson::Code => &TEACH_CODE,
            Lesson::Words => &TEACH_WORDS,
            Lesson::Program => &TEACH_PROGRAM,
            Lesson::ToProgram => &TO_PROGRAM,
        };
        self.render(
            template,
            context! {
                problem => problem.instruction.as_str(),
                solution,
                mask => MASK,
                entry_point => entry_point(&problem.gold),
            },
        )
    }

    fn render(&self, template: &Template, variables: Value) -> Result<String> {
        let rendered = self
            .environment
            .get_template(template.name)
            .and_then(|it| it.render(variables));
        let text = rendered.map_err(|error| {
            prompt_error(
                Path::new(template.name),
                format!("cannot be filled in: {error:#}"),
            )
        })?;
        Ok(text.trim().to_owned())
    }
}

fn schema_name(schema: Schema) -> &'static str {
    match schema {
        Schema::ChainOfThought => "chain_of_thought",
        Schema::ModularProgramming => "modular_programming",
    }
}

fn entry_point(gold: &Gold) -> Option<&str> {
    match gold {
        Gold::Asserts { entry_point, .. } => Some(entry_point),
        _ => None,
    }
}

/// The templates in a folder, in the order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "j2") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn prompt_error(path: &Path, problem: String) -> Error {
    Error::Prompt {
        path: path.to_owned(),
        problem,
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    prompt_error(path, format!("cannot be read: {source}"))
}

#[cfg(test)]
mod tests {
    use ultrainteract::Task;

    use super::*;

    #[test]
    fn an_actor_is_asked_for_the_answer_where_it_is_looked_for() {
        let asked = |gold: Gold, schema: Option<Schema>| {
            let problem = Problem {
                id: "p".into(),
                task: Task::MathPot,
                instruction: "Which?".into(),
                gold,
                solutions: Vec::new(),
                dataset: "d".into(),
            };
            let view = ActorView {
                problem: &problem,
                schema,
                turn: 1,
                max_turns: 5,
                tool: None,
            };
            Prompts::default().actor(&view).unwrap()
        };
        let answer = || Gold::Answer("42".into());
        let choice = || Gold::Choice {
            choices: vec!["ant".into(), "spider".into()],
            answer: 0,
        };
        let by_code = "last line that your code shows be ";
        let by_text = r"\boxed{} around ";
        for (gold, wanted) in [
            (answer as fn() -> Gold, "the answer alone"),
            (choice, "the letter of the right choice"),
        ] {
            let said = asked(gold(), Some(Schema::ModularProgramming));
            assert!(said.contains(&format!("{by_code}{wanted}")), "{said}");
            assert!(!said.contains(by_text), "{said}");
            let said = asked(gold(), Some(Schema::ChainOfThought));
            assert!(said.contains(&format!("{by_text}{wanted}")), "{said}");
            assert!(
                !said.contains("Python") && !said.contains(by_code),
                "{said}"
            );
            let said = asked(gold(), None);
            assert!(said.contains(&format!("{by_text}{wanted}")), "{said}");
            assert!(said.contains("If you write code"), "{said}");
        }
        let asserts = Gold::Asserts {
            code: "assert double(2) == 4".into(),
            entry_point: "double".into(),
        };
        let said = asked(asserts, Some(Schema::ChainOfThought));
        assert!(
            said.contains("one Python block that defines `double`"),
            "{said}"
        );
        assert!(!said.contains(by_text), "{said}");
    }
}
