//! The benchmarks of reward models.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use eurus_eval::reward_benches::autoj::{self, AutoJReport, Group, Judgement, Label};
use eurus_eval::reward_benches::mtbench::{self, Agreement, Vote, Winner};
use eurus_eval::reward_benches::pairs::ScoredPair;
use eurus_eval::reward_benches::rewardbench::{self, Section};
use serde_json::{Map, Value};

use super::family::{GoldenGrader, Judged};

/// Sums of doubles in another order.
const ROUNDING: f64 = 1e-12;

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::exact("run_rm aggregation", aggregation),
        GoldenGrader::exact("leaderboard average (prior sets, weight 0.5)", leaderboard),
        GoldenGrader::exact("pairwise_eval", labels),
        GoldenGrader::exact("tie-threshold sweep (our definition)", sweep),
        GoldenGrader::exact("compute_agreement", agreement),
    ]
}

fn list<'a>(row: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    let list = row[field].as_array();
    list.with_context(|| format!("no list `{field}`"))
}

fn object<'a>(row: &'a Value, field: &str) -> Result<&'a Map<String, Value>> {
    let object = row[field].as_object();
    object.with_context(|| format!("no object `{field}`"))
}

fn number(row: &Value, field: &str) -> Result<f64> {
    let number = row[field].as_f64();
    number.with_context(|| format!("no number `{field}`"))
}

fn text(row: &Value, field: &str) -> Result<String> {
    let text = row[field].as_str();
    Ok(text
        .with_context(|| format!("no text `{field}`"))?
        .to_owned())
}

/// Holds named numbers against an object of them: neither may have a name or a number that the other has not.
fn same(got: &BTreeMap<String, f64>, right: &BTreeMap<String, f64>) -> Judged {
    let mut differs = Vec::new();
    for name in right.keys().filter(|name| !got.contains_key(*name)) {
        differs.push(format!("nothing for {name}"));
    }
    for (name, got) in got {
        match right.get(name) {
            Some(right) if (got - right).abs() <= ROUNDING => {}
            right => differs.push(format!("{name}: got {got}, right is {right:?}")),
        }
    }
    match differs.is_empty() {
        true => Judged::Agrees,
        false => Judged::Differs(differs.join("; ")),
    }
}

/// The numbers of an object by name, prefixed; what is no number (null, a dash) is left out.
fn numbers(into: &mut BTreeMap<String, f64>, prefix: &str, object: &Map<String, Value>) {
    for (name, value) in object {
        if let Some(number) = value.as_f64() {
            into.insert(format!("{prefix}{name}"), number);
        }
    }
}

fn aggregation(row: &Value) -> Result<Judged> {
    let pair = |example: &Value| -> Result<ScoredPair> {
        Ok(ScoredPair {
            id: String::new(),
            subset: Some(text(example, "subset")?),
            turn: None,
            chosen: number(example, "chosen")?,
            rejected: number(example, "rejected")?,
            lengths: None,
        })
    };
    let pairs: Vec<ScoredPair> = list(row, "examples")?
        .iter()
        .map(pair)
        .collect::<Result<_>>()?;
    let report = rewardbench::evaluate(&pairs)?;
    let mut got = BTreeMap::new();
    for subset in &report.subsets {
        got.insert(subset.name.clone(), subset.accuracy.mean);
    }
    for (section, score) in &report.sections {
        got.insert(section.to_string(), *score);
    }
    got.extend(
        report
            .average
            .map(|average| ("average".to_owned(), average)),
    );
    let verdict = &row["verdict"];
    let mut right = BTreeMap::new();
    numbers(&mut right, "", object(verdict, "per_subset")?);
    numbers(&mut right, "", object(verdict, "sections")?);
    right.insert("average".to_owned(), number(verdict, "avg_4_sections")?);
    Ok(same(&got, &right))
}

fn leaderboard(row: &Value) -> Result<Judged> {
    let mut accuracies = BTreeMap::new();
    for (subset, accuracy) in object(row, "per_subset")? {
        accuracies.insert(subset.as_str(), accuracy.as_f64().context("no accuracy")?);
    }
    let sections: BTreeMap<Section, f64> = rewardbench::section_scores(&accuracies)?;
    let mut prior_sets = BTreeMap::new();
    if let Some(sets) = row["prior_sets"].as_object() {
        numbers(&mut prior_sets, "", sets);
    }
    let prior_sets: Vec<f64> = prior_sets.into_values().collect();
    let mut got = BTreeMap::new();
    for (section, score) in &sections {
        got.insert(section.to_string(), *score);
    }
    if !prior_sets.is_empty() {
        let mean = prior_sets.iter().sum::<f64>() / prior_sets.len() as f64;
        got.insert("Prior Sets (0.5 weight)".to_owned(), mean);
    }
    let average = rewardbench::leaderboard_average(&sections, &prior_sets)?;
    got.insert("average".to_owned(), average);
    let mut right = BTreeMap::new();
    numbers(&mut right, "", object(row, "verdict")?);
    Ok(same(&got, &right))
}

fn group(row: &Value) -> Result<Group> {
    let scenario = text(row, "scenario")?;
    Group::of(&scenario).with_context(|| format!("no scenario `{scenario}`"))
}

fn label(row: &Value, field: &str) -> Result<Label> {
    let number = row[field]
        .as_u64()
        .with_context(|| format!("no label `{field}`"))?;
    Label::from_number(usize::try_from(number)?).with_context(|| format!("no label {number}"))
}

/// Groups, all pairs and the paper's columns as the golden rows name them.
fn named(report: &AutoJReport) -> BTreeMap<String, f64> {
    let mut got = BTreeMap::new();
    let groups = report
        .groups
        .iter()
        .map(|(group, all)| (group.to_string(), all));
    for (name, all) in groups.chain([("Overall".to_owned(), &report.overall)]) {
        let consistency = all.consistency_percent();
        got.extend(consistency.map(|share| (format!("{name}/consistency"), share)));
        got.insert(format!("{name}/agreement"), all.percent());
    }
    got.extend(columns(report));
    got
}

fn columns(report: &AutoJReport) -> BTreeMap<String, f64> {
    let columns = report.paper_columns();
    // The golden rows have the mean of the others to four decimals.
    let others = columns.others.map(|others| (others * 1e4).round() / 1e4);
    [
        ("Code", columns.code),
        ("Math", columns.math),
        ("Others", others),
        ("Overall", Some(columns.overall)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("paper/{name}"), value?)))
    .collect()
}

fn labels(row: &Value) -> Result<Judged> {
    let in_both_orders = match row["type"].as_str() {
        Some("single") => false,
        Some("pairwise") => true,
        other => bail!("no type {other:?}"),
    };
    let judgement = |row: &Value| -> Result<Judgement> {
        Ok(Judgement {
            group: group(row)?,
            label: label(row, "label")?,
            given: label(row, "pred")?,
            exchanged: match in_both_orders {
                true => Some(label(row, "pred_exchange")?),
                false => None,
            },
        })
    };
    let rows = list(row, "rows")?;
    let judgements: Vec<Judgement> = rows.iter().map(judgement).collect::<Result<_>>()?;
    let got = named(&autoj::evaluate(&judgements)?);
    let verdict = &row["verdict"];
    let mut right = BTreeMap::new();
    for (name, group) in object(verdict, "groups")? {
        let group = group.as_object().context("no group")?;
        numbers(&mut right, &format!("{name}/"), group);
    }
    numbers(&mut right, "paper/", object(verdict, "paper_columns")?);
    Ok(same(&got, &right))
}

fn sweep(row: &Value) -> Result<Judged> {
    let pair = |row: &Value| -> Result<autoj::ScoredPair> {
        Ok(autoj::ScoredPair {
            group: group(row)?,
            label: label(row, "label")?,
            first: number(row, "score1")?,
            second: number(row, "score2")?,
        })
    };
    let rows = list(row, "rows")?;
    let pairs: Vec<autoj::ScoredPair> = rows.iter().map(pair).collect::<Result<_>>()?;
    let sweep = autoj::sweep(&pairs)?;
    let verdict = &row["verdict"];
    let asked = object(verdict, "overall_at")?;
    let mut got = columns(&sweep.best);
    got.insert("threshold".to_owned(), sweep.best_threshold);
    got.insert("overall".to_owned(), sweep.best.overall.percent());
    for (threshold, overall) in &sweep.overall {
        let name = format!("{threshold:.2}");
        if asked.contains_key(&name) {
            got.insert(format!("at/{name}"), *overall);
        }
    }
    let mut right = BTreeMap::new();
    numbers(&mut right, "paper/", object(verdict, "paper_columns")?);
    numbers(&mut right, "at/", asked);
    right.insert("threshold".to_owned(), number(verdict, "best_threshold")?);
    right.insert("overall".to_owned(), number(verdict, "overall")?);
    Ok(same(&got, &right))
}

fn vote(row: &Value) -> Result<Vote> {
    let count = |field: &str| -> Result<usize> {
        let count = row[field]
            .as_u64()
            .with_context(|| format!("no number `{field}`"))?;
        Ok(usize::try_from(count)?)
    };
    Ok(Vote {
        question: count("question_id")?,
        turn: count("turn")?,
        model_a: text(row, "model_a")?,
        model_b: text(row, "model_b")?,
        winner: match text(row, "winner")?.as_str() {
            "model_a" => Winner::ModelA,
            "model_b" => Winner::ModelB,
            tie if tie.starts_with("tie") => Winner::Tie,
            other => bail!("no winner `{other}`"),
        },
        judge: row["judge"].as_str().unwrap_or("a model").to_owned(),
    })
}

fn agreement(row: &Value) -> Result<Judged> {
    let votes = |field| -> Result<Vec<Vote>> { list(row, field)?.iter().map(vote).collect() };
    let report = mtbench::agreement(&votes("human_votes")?, &votes("judge_votes")?)?;
    let mut got: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let counts = |agreement: Agreement| [agreement.agreed, agreement.total];
    for (ties, turns) in [
        ("with_tie", &report.with_ties),
        ("no_tie", &report.without_ties),
    ] {
        for (turn, agreement) in turns {
            let name = |judges: &str| format!("turn{turn}/{ties}/{judges}");
            got.insert(name("gpt4-pair-human"), counts(agreement.judge_human));
            got.insert(name("human-human"), counts(agreement.human_human));
        }
    }
    let right = serde_json::from_value(row["verdict"].clone())?;
    Ok(Judged::compare(&got, &right))
}
