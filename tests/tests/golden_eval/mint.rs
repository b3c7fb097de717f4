//! MINT: its graders, scripted episodes, and recorded ones that are played again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use code_interpreter::{Limits, Python, Session};
use eurus_eval::graders::Rules;
use eurus_eval::graders::mint::{
    Episode, Numbers, Role, Settings, Task, hides_options, limits, options,
};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use test_support::{folders, skip};

use super::code::{lock, text};
use super::family::{GoldenGrader, Judged};

const RECORDED: &str = "recorded Eurus-7B-KTO run, max 5 steps, 2 proposals";

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::new("ReasoningTask.success", reasoning),
        GoldenGrader::new("MultipleChoiceTask.success", multiple_choice),
        GoldenGrader::exact("MultipleChoiceTask.extract_options", extracted_options),
        GoldenGrader::new("TheoremqaTask.success", theorem_qa),
        GoldenGrader::new("GeneralEnv episode", scripted),
        GoldenGrader::new(RECORDED, recorded),
    ]
}

/// Of the standard library, with less time for endless programs: what those that were recorded show decides nothing.
static SESSION: LazyLock<Mutex<Session>> = LazyLock::new(|| {
    let python = Python::find().expect("there is a Python");
    let limits = Limits {
        wall: Duration::from_secs(5),
        ..limits()
    };
    Mutex::new(Session::start(&python, limits).expect("it starts"))
});

fn success(task: &Task, row: &Value) -> Result<Judged> {
    let grade = task.grade(text(row, "answer")?, Rules::Authors, &mut lock(&SESSION))?;
    Ok(Judged::compare(
        &Some(grade.is_correct()),
        &row["verdict"].as_bool(),
    ))
}

fn reasoning(row: &Value) -> Result<Judged> {
    let reference = text(row, "reference")?.to_owned();
    let numbers = Numbers::Signed;
    success(&Task::Reasoning { reference, numbers }, row)
}

fn multiple_choice(row: &Value) -> Result<Judged> {
    let task = Task::MultipleChoice {
        reference: text(row, "reference")?.to_owned(),
        options: options(text(row, "prompt_options")?),
    };
    success(&task, row)
}

fn extracted_options(row: &Value) -> Result<Judged> {
    let options = options(text(row, "prompt_options")?);
    let hidden = hides_options(&options);
    Ok(Judged::compare(
        &json!({"options": options, "hide_options": hidden}),
        &row["verdict"],
    ))
}

fn theorem_qa(row: &Value) -> Result<Judged> {
    let task = Task::TheoremQa {
        reference: row["reference"].clone(),
        answer_type: text(row, "answer_type")?.to_owned(),
    };
    success(&task, row)
}

/// What is said of an episode, and its conversation behind the first message.
fn played(task: Task, answers: &[Option<&str>], settings: Settings) -> Result<(Value, Episode)> {
    let session = &mut *lock(&SESSION);
    session.reset()?;
    let mut episode = Episode::new(task, "", settings);
    for answer in answers {
        match answer {
            Some(answer) => episode.step(answer, session)?,
            None => Some(episode.overflow()),
        };
    }
    let verdict = json!({
        "success": episode.end().is_some_and(|end| end.to_string() == "task_success"),
        "terminate_reason": episode.end().map(|end| end.to_string()),
        "agent_action_count": episode.counts(),
    });
    Ok((verdict, episode))
}

fn scripted(row: &Value) -> Result<Judged> {
    let reference = text(row, "reference")?.to_owned();
    let task = match text(row, "task_type")? {
        "reasoning" => Task::Reasoning {
            reference,
            numbers: Numbers::Signed,
        },
        "mbpp" | "humaneval" => Task::Code { tests: reference },
        other => bail!("unknown task {other}"),
    };
    let count = |field: &str| -> Result<u32> {
        let count = row[field]
            .as_u64()
            .with_context(|| format!("no field `{field}`"))?;
        Ok(u32::try_from(count)?)
    };
    let settings = Settings {
        max_steps: count("max_steps")?,
        max_proposals: count("max_propose_solution")?,
        rules: Rules::Authors,
    };
    let outputs = row["lm_outputs"].as_array().context("no outputs")?;
    let answers: Vec<Option<&str>> = outputs.iter().map(Value::as_str).collect();
    let (mut verdict, episode) = played(task, &answers, settings)?;
    verdict["finished"] = episode.end().is_some().into();
    verdict["steps"] = episode.steps().into();
    verdict["history"] = json!(episode.messages()[1..]);
    Ok(Judged::compare(&verdict, &row["verdict"]))
}

/// What comes of a recorded episode, by its row: two tests ask for it.
static REPLAYED: LazyLock<Mutex<BTreeMap<String, (Value, Episode)>>> =
    LazyLock::new(Mutex::default);

fn replayed(row: &Value) -> Result<(Value, Episode)> {
    let mut replayed = lock(&REPLAYED);
    let key = row.to_string();
    if let Some(known) = replayed.get(&key) {
        return Ok(known.clone());
    }
    let new = replay(row)?;
    replayed.insert(key, new.clone());
    Ok(new)
}

fn replay(row: &Value) -> Result<(Value, Episode)> {
    let reference = || Ok::<_, anyhow::Error>(text(row, "reference")?.to_owned());
    let task = match text(row, "split")? {
        "humaneval" | "mbpp" => Task::Code {
            tests: reference()?,
        },
        "math" | "gsm8k" => Task::Reasoning {
            reference: reference()?,
            numbers: Numbers::Unsigned,
        },
        "mmlu" => Task::MultipleChoice {
            reference: reference()?,
            options: serde_json::from_value(row["options"].clone())?,
        },
        "theoremqa" => Task::TheoremQa {
            reference: row["reference"].clone(),
            answer_type: answer_type(row)?,
        },
        other => bail!("unknown split {other}"),
    };
    let turns = strings(row, "assistant_turns")?;
    let answers: Vec<Option<&str>> = turns
        .iter()
        .map(|turn| Some(turn.strip_suffix('\n').unwrap_or(turn)))
        .collect();
    played(task, &answers, Settings::default())
}

fn strings<'a>(row: &'a Value, field: &str) -> Result<Vec<&'a str>> {
    let values = row[field].as_array();
    let values = values.with_context(|| format!("no field `{field}`"))?;
    Ok(values.iter().filter_map(Value::as_str).collect())
}

fn recorded(row: &Value) -> Result<Judged> {
    let (verdict, episode) = replayed(row)?;
    if verdict != row["verdict"] {
        return Ok(Judged::compare(&verdict, &row["verdict"]));
    }
    let right = strings(row, "user_turns_after_first")?;
    let by = |role| {
        episode
            .messages()
            .iter()
            .filter(move |turn| turn.role == role)
    };
    let got: Vec<&str> = by(Role::User).skip(1).map(|turn| &*turn.content).collect();
    let said: Vec<&str> = by(Role::Assistant).map(|turn| &*turn.content).collect();
    let were_said = strings(row, "assistant_turns")?;
    if said != were_said {
        return Ok(Judged::compare(&said, &were_said));
    }
    let is_tool = |turn: &&str| !turn.contains("<solution>") && turn.contains("</execute>");
    let shown = |turns: &[&str]| -> Vec<String> {
        let with_answers = turns.iter().zip(&said);
        with_answers
            .map(|(turn, answer)| match is_tool(answer) {
                // What code shows depends on the machine.
                true => turn
                    .rsplit_once("\nYou have")
                    .map_or(*turn, |(_, left)| left)
                    .to_owned(),
                false => (*turn).to_owned(),
            })
            .collect()
    };
    Ok(Judged::compare(&shown(&got), &shown(&right)))
}

#[test]
fn recorded_episodes_succeed_as_often_as_the_paper_reports() {
    let Some(golden) = folders::golden() else {
        return;
    };
    let rows = super::golden_rows(&golden.join("eval")).expect("golden values can be read");
    let Some(rows) = rows.get(RECORDED) else {
        skip("no recorded episodes of MINT");
        return;
    };
    let (mut code, mut mathematics) = ([0; 2], [0; 2]);
    for row in rows {
        let [successes, episodes] = match text(row, "split").expect("it has one") {
            "humaneval" | "mbpp" => &mut code,
            "math" | "theoremqa" | "mmlu" => &mut mathematics,
            // No part of the paper's figures.
            _ => continue,
        };
        let (verdict, _) = replayed(row).expect("it can be played again");
        *successes += u32::from(verdict["success"] == true);
        *episodes += 1;
    }
    println!("MINT, Eurus-7B-KTO: code {code:?}, mathematics {mathematics:?}");
    assert_eq!((code, mathematics), ([26, 136], [98, 225]));
}

/// Kinds of answers by the number of the problem.
static ANSWER_TYPES: LazyLock<Result<BTreeMap<u64, String>>> = LazyLock::new(|| {
    let path = folders::data().context("no published rows")?;
    let path = path.join("eval/mint/theoremqa.test_prompts.jsonl.gz");
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    let mut types = BTreeMap::new();
    for line in BufReader::new(MultiGzDecoder::new(file)).lines() {
        let row: Value = serde_json::from_str(&line?)?;
        let number = row["id"].as_u64().context("no number")?;
        types.insert(number, text(&row, "answer_type")?.to_owned());
    }
    Ok(types)
});

fn answer_type(row: &Value) -> Result<String> {
    match &*ANSWER_TYPES {
        Ok(types) => {
            let number = row["task_id"].as_u64().context("no number")?;
            Ok(types.get(&number).context("no such problem")?.clone())
        }
        Err(error) => bail!("{error:#}"),
    }
}
