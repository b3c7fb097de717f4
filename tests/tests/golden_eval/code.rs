//! Code that is run: HumanEval, MBPP, LeetCode and program-of-thought.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use answer_equality::Tolerance;
use answer_equality::authors;
use anyhow::{Context, Result, bail};
use code_interpreter::{Interpreter, Limits, Python, Verdict};
use eurus_eval::graders::{Rules, human_eval, leetcode, mbpp, program_of_thought};
use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use test_support::{folders, python_with, skip};

use super::family::{GoldenGrader, Judged};

/// What programs of a few rows import.
const PACKAGES: [&str; 3] = ["numpy==2.4.6", "sympy==1.14.0", "mpmath==1.3.0"];

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::new("human_eval.check_correctness(timeout=3)", of_human_eval),
        GoldenGrader::new("mbpp.evaluate(timeout=3)", of_mbpp),
        GoldenGrader::new("mbpp.make_signature", signature),
        GoldenGrader::new("leetcode.pipeline(timeout=10)", of_leetcode),
        GoldenGrader::new("leetcode.match_code", leetcode_code),
        GoldenGrader::new("leetcode.pipeline_extract", leetcode_code),
        GoldenGrader::new("leetcode.extract_python_code", base_model_code),
        GoldenGrader::new(
            "python_interpreter.postprocess_completion(timeout=5)",
            program_output,
        ),
        GoldenGrader::new("PoT pipeline then eurus.evaluate_math", program_grade),
    ]
}

/// Two interpreters of the standard library, for tests and candidate.
pub static INTERPRETERS: LazyLock<Mutex<[Interpreter; 2]>> = LazyLock::new(|| {
    let start = || {
        let python = Python::find().expect("there is a Python");
        Interpreter::start(&python, Limits::default()).expect("it starts")
    };
    Mutex::new([start(), start()])
});

/// An interpreter that finds packages, if they can be had.
static WITH_PACKAGES: LazyLock<Option<Mutex<Interpreter>>> = LazyLock::new(|| {
    let installed = python_with("test-packages", &PACKAGES);
    let path = installed
        .inspect_err(|problem| skip(format_args!("no packages of Python: {problem}")))
        .ok()?;
    let python = Python::at(path).expect("it is a Python");
    let started = Interpreter::start(&python.with_site_packages(), Limits::default());
    Some(Mutex::new(started.expect("it starts")))
});

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field]
        .as_str()
        .with_context(|| format!("no field `{field}`"))
}

fn data_file(name: &str) -> Result<impl Read> {
    let path = folders::data()
        .context("no published rows")?
        .join("eval")
        .join(name);
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    Ok(MultiGzDecoder::new(file))
}

fn json_lines<T: DeserializeOwned>(name: &str) -> Result<Vec<T>> {
    let lines = BufReader::new(data_file(name)?).lines();
    lines
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

static HUMAN_EVAL: LazyLock<Result<Vec<human_eval::Problem>>> =
    LazyLock::new(|| json_lines("humaneval/HumanEval.jsonl.gz"));
static LEETCODE: LazyLock<Result<Vec<leetcode::Problem>>> =
    LazyLock::new(|| json_lines("leetcode/leetcode-test.json.gz"));
static MBPP: LazyLock<Result<Vec<mbpp::Problem>>> = LazyLock::new(|| {
    Ok(serde_json::from_reader(data_file(
        "mbpp/new_mbpp.json.gz",
    )?)?)
});

fn find<T>(problems: &'static Result<Vec<T>>, is_it: impl Fn(&T) -> bool) -> Result<&'static T> {
    match problems {
        Ok(problems) => problems
            .iter()
            .find(|problem| is_it(problem))
            .context("no such problem"),
        Err(error) => bail!("{error:#}"),
    }
}

fn of_human_eval(row: &Value) -> Result<Judged> {
    let name = text(row, "task_id")?;
    let problem = find(&HUMAN_EVAL, |problem| problem.task_id == name)?;
    let canonical = &problem.canonical_solution;
    let head = problem
        .prompt
        .lines()
        .rev()
        .find(|line| line.starts_with("def "));
    let redefined = format!("def  {}\n{canonical}", &head.context("no function")?[4..]);
    let completion = match (
        row["completion"].as_str(),
        row["completion_template"].as_str(),
    ) {
        (Some(completion), _) => completion.to_owned(),
        (_, Some(template)) if template.starts_with('"') => {
            redefined.replacen("return", "return not", 1)
        }
        (_, Some(template)) => template.replace("{{canonical_solution}}", canonical),
        _ => match text(row, "completion_ref")? {
            "canonical_solution" => canonical.clone(),
            reference if reference.contains("return not") => {
                redefined.replacen("return", "return not", 1)
            }
            _ => redefined,
        },
    };
    let [tests, candidate] = &mut *lock(&INTERPRETERS);
    let grade = human_eval::judge(problem, &completion, Rules::Authors, tests, candidate)?;
    Ok(passed(&grade.verdict, &row["verdict"]["passed"]))
}

fn passed(verdict: &Verdict, right: &Value) -> Judged {
    match Some(verdict.is_correct()) == right.as_bool() {
        true => Judged::Agrees,
        false => Judged::Differs(format!("{verdict}, right is {right}")),
    }
}

fn mbpp_problem(row: &Value) -> Result<&'static mbpp::Problem> {
    find(&MBPP, |problem| {
        row["task_id"].as_u64() == Some(problem.task_id.into())
    })
}

fn of_mbpp(row: &Value) -> Result<Judged> {
    let problem = mbpp_problem(row)?;
    let code = &problem.code;
    let model_text = match row["model_text"].as_str() {
        Some(text) => text.to_owned(),
        None => match text(row, "model_text_ref")? {
            "code" => code.clone(),
            reference if reference.starts_with("\"import math") => format!("import math\n{code}"),
            _ => {
                let (_, after) = code.split_once("def").context("no function")?;
                format!(" {after}")
            }
        },
    };
    let [_, candidate] = &mut *lock(&INTERPRETERS);
    let (outcome, _) = mbpp::evaluate(problem, &model_text, candidate)?;
    Ok(Judged::compare(&json!(outcome), &row["verdict"]["outcome"]))
}

fn signature(row: &Value) -> Result<Judged> {
    let code = &mbpp_problem(row)?.code;
    let got = mbpp::signature(code, Rules::Authors);
    let fixed = mbpp::signature(code, Rules::Fixed).unwrap_or_default();
    let name = fixed.split('(').next();
    match name == row["real_name"].as_str() {
        true => Ok(Judged::compare(&got.as_deref(), &row["verdict"].as_str())),
        false => Ok(Judged::Differs(format!("got {name:?} by fixed rules"))),
    }
}

fn of_leetcode(row: &Value) -> Result<Judged> {
    let name = text(row, "task_id")?;
    let problem = find(&LEETCODE, |problem| problem.task_id == name)?;
    let [tests, candidate] = &mut *lock(&INTERPRETERS);
    let answer = text(row, "model_text")?;
    let grade = leetcode::grade(problem, answer, Rules::Authors, tests, candidate)?;
    if grade.extracted.as_deref() != row["generation"].as_str() {
        return Ok(Judged::Differs(format!("extracted {:?}", grade.extracted)));
    }
    Ok(passed(&grade.verdict, &row["verdict"]["passed"]))
}

fn leetcode_code(row: &Value) -> Result<Judged> {
    let got = leetcode::code(text(row, "text")?, Rules::Authors);
    Ok(Judged::compare(&got, &text(row, "verdict")?))
}

fn base_model_code(row: &Value) -> Result<Judged> {
    let got = leetcode::base_model_code(text(row, "text")?);
    Ok(Judged::compare(&got, &text(row, "verdict")?))
}

/// The answer of a row's completion; nothing, said on standard error, if it needs a package that cannot be had.
fn program_answer(row: &Value) -> Result<Option<String>> {
    let completion = text(row, "completion")?;
    let [_, interpreter] = &mut *lock(&INTERPRETERS);
    let answer = program_of_thought::answer(completion, interpreter)?;
    let missing = answer
        .ended
        .as_ref()
        .and_then(|status| status.missing_module());
    let Some(name) = missing else {
        return Ok(Some(answer.text));
    };
    match &*WITH_PACKAGES {
        Some(interpreter) => {
            let answer = program_of_thought::answer(completion, &mut lock(interpreter))?;
            Ok(Some(answer.text))
        }
        None => {
            skip(format_args!(
                "{} is not judged, for it needs {name}",
                row["id"]
            ));
            Ok(None)
        }
    }
}

fn program_output(row: &Value) -> Result<Judged> {
    let right = text(&row["verdict"], "solution_text")?;
    let answer = program_answer(row)?;
    Ok(answer.map_or(Judged::Agrees, |got| Judged::compare(&got.as_str(), &right)))
}

fn program_grade(row: &Value) -> Result<Judged> {
    let Some(answer) = program_answer(row)? else {
        return Ok(Judged::Agrees);
    };
    let extracted = authors::match_answer(&answer);
    let grade = authors::grade(
        &extracted,
        text(row, "ground_truth")?,
        &Tolerance::authors(),
    );
    let right = &row["verdict"];
    Ok(Judged::compare(
        &(Some(grade.equal), Some(extracted.as_str())),
        &(right["correct"].as_bool(), right["extracted"].as_str()),
    ))
}
