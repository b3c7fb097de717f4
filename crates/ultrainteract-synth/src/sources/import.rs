//! From rows to problems.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use ultrainteract::Task;
use ultrainteract::decontaminate::NearDuplicates;
use ultrainteract::formats::JsonlWriter;
use ultrainteract::input::Location;

use super::columns::Columns;
use super::math_qa::{self, MOST_OF_A_FORMULA};
use super::options::{ImportOptions, Mode, Origin};
use super::row::{Draft, Reason, Row};
use super::rows::{Read1, each_row};
use super::summary::{LeftOut, Summary};
use super::table::Source;
use super::{arithmetic_tasks, logic, programs, tables, worked_math};
use crate::problem::{check, from_fields, read_problems};
use crate::{Error, Problem, Result, seed};

/// Writes the problems of files to a file as JSONL, compressed if its name ends in `.gz` or `.zst`. It is there once all is
/// written, and not at all after an error.
///
/// # Errors
///
/// As for [`import`]; also when the file cannot be written.
pub fn import_to(
    origin: &Origin,
    files: &[PathBuf],
    options: &ImportOptions,
    out: &Path,
) -> Result<Summary> {
    let mut writer = JsonlWriter::create(out)?;
    let summary = import(origin, files, options, &mut |problem| {
        Ok(writer.write(&problem)?)
    })?;
    writer.finish()?;
    Ok(summary)
}

/// Calls `each` with the problems of files, in their order.
///
/// # Errors
///
/// When a file cannot be read to its end or no row is a problem, when the source cannot be asked this way, when a column is not
/// there, and when `each` fails.
pub fn import(
    origin: &Origin,
    files: &[PathBuf],
    options: &ImportOptions,
    each: &mut dyn FnMut(Problem) -> Result<()>,
) -> Result<Summary> {
    let mut import = Import::new(origin, files, options)?;
    for file in files {
        each_row(file, row_field(origin), &mut |row| import.row(row, each))?;
    }
    import.finish(files)
}

/// An import on its way.
struct Import<'a> {
    origin: &'a Origin,
    options: &'a ImportOptions,
    tasks: Vec<Task>,
    dataset: String,
    /// Positions of the rows of MathQA that are too many.
    too_many: HashSet<u64>,
    others: Option<(NearDuplicates, Vec<String>)>,
    /// Hashes of ids, with the place of their row.
    ids: HashMap<u64, Location>,
    summary: Summary,
}

impl<'a> Import<'a> {
    fn new(origin: &'a Origin, files: &[PathBuf], options: &'a ImportOptions) -> Result<Self> {
        if files.is_empty() {
            return Err(Error::import(
                "files",
                "there is none; name the files to read",
            ));
        }
        let mut import = Self {
            origin,
            options,
            tasks: tasks(origin, options)?,
            dataset: match (&options.dataset, origin) {
                (Some(name), _) => name.clone(),
                (None, Origin::Source(source)) => source.info().dataset.to_owned(),
                (None, Origin::Columns(_)) => "own".to_owned(),
            },
            too_many: HashSet::new(),
            others: None,
            ids: HashMap::new(),
            summary: Summary::default(),
        };
        if !options.not_like.is_empty() {
            let others = read_problems(&options.not_like)?;
            let index = NearDuplicates::new(
                others.iter().map(|problem| &problem.instruction),
                options.likeness,
            )?;
            let ids = others.into_iter().map(|problem| problem.id).collect();
            import.others = Some((index, ids));
        }
        if *origin == Origin::Source(Source::MathQa) && !options.all_rows {
            import.too_many = import.select(files)?;
        }
        Ok(import)
    }

    /// Reads the rows once before, for a choice among all of them.
    fn select(&self, files: &[PathBuf]) -> Result<HashSet<u64>> {
        let mut selection = math_qa::Selection::default();
        let mut seen = HashSet::new();
        let mut position = 0;
        for file in files {
            each_row(file, row_field(self.origin), &mut |row| {
                // A row that is left out anyway takes no place of another.
                if let Ok(row) = row
                    && let Ok(draft) = math_qa::draft(&row)
                    && seen.insert(seed::derive(
                        0,
                        &[&draft.instruction, &draft.gold.identity()],
                    ))
                {
                    selection.note(position, &row);
                }
                position += 1;
                Ok(())
            })?;
        }
        Ok(selection.too_many().into_iter().collect())
    }

    fn row(&mut self, row: Read1, each: &mut dyn FnMut(Problem) -> Result<()>) -> Result<()> {
        let position = self.summary.rows as u64;
        self.summary.rows += 1;
        let (location, made) = match row {
            Ok(row) => (row.location.clone(), self.problems(position, &row)),
            Err((location, reason)) => (location, Err(reason)),
        };
        match made {
            Ok(problems) => {
                for problem in problems {
                    self.summary.count(&problem);
                    each(problem)?;
                }
            }
            Err(reason) => self.summary.left_out.push(LeftOut { location, reason }),
        }
        Ok(())
    }

    /// The problems of a row, or why there is none.
    fn problems(&mut self, position: u64, row: &Row) -> Result<Vec<Problem>, Reason> {
        let problems = match self.origin {
            Origin::Columns(columns) => self.of_columns(columns, row)?,
            Origin::Source(source) => {
                let draft = self.draft(*source, row)?;
                if self.too_many.contains(&position) {
                    return Err(format!(
                        "{MOST_OF_A_FORMULA} others with the same formula are kept"
                    ));
                }
                self.of_draft(*source, draft)
            }
        };
        let Some(first) = problems.first() else {
            return Err("it asks for no task".to_owned());
        };
        let faults = check(first);
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        if let Some((index, ids)) = &self.others
            && let Some(found) = index.find(&first.instruction)
        {
            let other = ids.get(found.test_index).map_or("another", String::as_str);
            return Err(format!(
                "it is much like problem `{other}` ({:.0} % of five-word runs)",
                100.0 * found.similarity
            ));
        }
        let id = seed::derive(0, &[&first.id]);
        if let Some(other) = self.ids.get(&id) {
            return Err(format!("{other} has the same id, `{}`", first.id));
        }
        self.ids.insert(id, row.location.clone());
        Ok(problems)
    }

    fn draft(&self, source: Source, row: &Row) -> Result<Draft, Reason> {
        let options = self.options;
        match source {
            Source::Gsm8k => worked_math::gsm8k(row),
            Source::Math => worked_math::math(row),
            Source::MathQa => math_qa::draft(row),
            Source::NumGlue => arithmetic_tasks::num_glue(row),
            Source::TabMwp => arithmetic_tasks::tab_mwp(row, options.all_rows),
            Source::CodeContests => programs::code_contests(row, options.most_solutions),
            Source::Taco => programs::taco(row, options.most_solutions),
            Source::WikiTableQuestions => tables::wiki(row, options.tables.as_deref()),
            Source::Magicoder => programs::magicoder(row),
            Source::ReClor => logic::re_clor(row),
            Source::HotpotQa => logic::hotpot_qa(row),
            Source::StrategyQa => logic::strategy_qa(row),
        }
    }

    /// A problem for each way of asking. The id is the source's own, or made of the instruction and what is right.
    fn of_draft(&self, source: Source, draft: Draft) -> Vec<Problem> {
        let own = draft.id.unwrap_or_else(|| {
            let gold = draft.gold.identity();
            seed::fingerprint(&format!("{}\n{gold}", draft.instruction))
        });
        self.tasks
            .iter()
            .map(|task| Problem {
                id: match task {
                    Task::MathCot => format!("{source}-{own}-cot"),
                    Task::MathPot => format!("{source}-{own}-pot"),
                    Task::Coding | Task::Logic => format!("{source}-{own}"),
                },
                task: *task,
                instruction: draft.instruction.clone(),
                gold: draft.gold.clone(),
                solutions: draft.solutions.clone(),
                dataset: self.dataset.clone(),
            })
            .collect()
    }

    fn of_columns(&self, columns: &Columns, row: &Row) -> Result<Vec<Problem>, Reason> {
        let mut fields = columns.fields(row, self.options.task, &self.dataset)?;
        let is_made = !fields.contains_key("id");
        if is_made {
            fields.insert("id".to_owned(), "made below".into());
        }
        let problem = from_fields(fields).map_err(|faults| faults.join("; "))?;
        let mut made: Vec<Problem> = match self.options.mode {
            Some(_) if matches!(problem.task, Task::MathCot | Task::MathPot) => self
                .tasks
                .iter()
                .map(|task| Problem {
                    task: *task,
                    ..problem.clone()
                })
                .collect(),
            _ => vec![problem],
        };
        let several = made.len() > 1;
        for problem in &mut made {
            if is_made {
                let gold = problem.gold.identity();
                let own = seed::fingerprint(&format!("{}\n{gold}", problem.instruction));
                problem.id = format!("{}-{own}", self.dataset);
            }
            if several {
                problem.id += match problem.task {
                    Task::MathPot => "-pot",
                    _ => "-cot",
                };
            }
        }
        Ok(made)
    }

    fn finish(self, files: &[PathBuf]) -> Result<Summary> {
        if self.summary.problems > 0 {
            return Ok(self.summary);
        }
        let what = match files {
            [file] => file.display().to_string(),
            files => format!("{} files", files.len()),
        };
        Err(Error::NoProblems {
            what,
            remedy: match self.summary.left_out.first() {
                Some(first) => format!(
                    "all {} rows are left out, the first because: {}: {}",
                    self.summary.rows, first.location, first.reason
                ),
                None => "it has no rows; name another file".to_owned(),
            },
        })
    }
}

/// The tasks that a problem is made for each of.
fn tasks(origin: &Origin, options: &ImportOptions) -> Result<Vec<Task>> {
    let of_mode = |mode| match mode {
        Mode::Cot => vec![Task::MathCot],
        Mode::Pot => vec![Task::MathPot],
        Mode::Both => vec![Task::MathCot, Task::MathPot],
    };
    match (origin, options.mode) {
        (Origin::Source(Source::Magicoder), _) if !options.unjudged => Err(Error::import(
            "source `magicoder`",
            "has nothing to judge an action by, and so gives no trees; ask for unjudged problems if they are for fine-tuning \
             alone",
        )),
        (Origin::Source(source), _) if options.task.is_some() => Err(Error::import(
            format!("source `{source}`"),
            "has tasks of its own; leave the task out, which is for tables",
        )),
        (Origin::Source(source), mode) => {
            let asked = source.info().tasks;
            let is_mathematics = asked
                .iter()
                .any(|task| matches!(task, Task::MathCot | Task::MathPot));
            match mode {
                None => Ok(asked.to_vec()),
                Some(mode) if is_mathematics => Ok(of_mode(mode)),
                Some(_) => Err(Error::import(
                    format!("source `{source}`"),
                    "is no mathematics, and can be asked one way only; leave the mode out",
                )),
            }
        }
        (Origin::Columns(columns), mode) => {
            if !columns.has("task") && options.task.is_none() {
                let names = Task::ALL.map(Task::as_str);
                return Err(Error::import(
                    "columns",
                    format!(
                        "nothing says what task the rows are; name a column for `task`, or one of {} for all",
                        names.join(", ")
                    ),
                ));
            }
            Ok(mode.map(of_mode).unwrap_or_default())
        }
    }
}

/// A field that every row has.
fn row_field(origin: &Origin) -> &str {
    match origin {
        Origin::Columns(columns) => columns.instruction(),
        Origin::Source(source) => match source {
            Source::Math => "problem",
            Source::MathQa => "Problem",
            Source::NumGlue => "type",
            Source::CodeContests => "description",
            Source::Magicoder => "instruction",
            Source::Gsm8k
            | Source::TabMwp
            | Source::Taco
            | Source::WikiTableQuestions
            | Source::ReClor
            | Source::HotpotQa
            | Source::StrategyQa => "question",
        },
    }
}
