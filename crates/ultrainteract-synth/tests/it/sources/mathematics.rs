//! GSM8K, MATH, MathQA, NumGLUE and TabMWP.

use serde_json::{Value, json};
use ultrainteract::Task;
use ultrainteract_synth::sources::{ImportOptions, Mode, Origin, Source};
use ultrainteract_synth::{Gold, Problem};

use super::{Files, imported, lines, try_import, with_options};

fn answers(problems: &[Problem]) -> Vec<&str> {
    problems
        .iter()
        .map(|problem| match &problem.gold {
            Gold::Answer(answer) => answer.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn in_words() -> ImportOptions {
    ImportOptions {
        mode: Some(Mode::Cot),
        ..ImportOptions::default()
    }
}

#[test]
fn gsm8k_gives_two_problems_a_row_and_names_rows_without_an_answer() {
    let rows = [
        json!({"question": "How many?", "answer": "2 + 1,000 = <<2+1000=1002>>1,002.\n#### 1,002"}),
        json!({"question": "And now?", "answer": "Five."}),
        json!({"question": "How many?", "answer": "It is 1002.\n#### 1,002"}),
        json!({"question": "Loss?", "answer": "#### -5"}),
    ];
    let (problems, left_out) = imported(Source::Gsm8k, "train.jsonl", &lines(&rows));
    assert_eq!(answers(&problems), ["1002", "1002", "-5", "-5"]);
    let [cot, pot] = &problems[..2] else {
        panic!("two problems")
    };
    assert_eq!((cot.task, pot.task), (Task::MathCot, Task::MathPot));
    assert_eq!(cot.id.strip_suffix("-cot"), pot.id.strip_suffix("-pot"));
    assert_eq!(cot.dataset, "gsm8k");
    assert_eq!(
        cot.solutions,
        ["2 + 1,000 = 1,002.\nAnswer:\n\\boxed{1002}"]
    );
    assert!(problems[2].solutions.is_empty());
    assert!(left_out[0].starts_with("row 2 of ") && left_out[0].contains("no `####`"));
    assert!(left_out[1].starts_with("row 3 of ") && left_out[1].contains("row 1 of "));
}

#[test]
fn a_damaged_first_line_is_left_out_alone() {
    let row = json!({"question": "1 + 1?", "answer": "#### 2"}).to_string();
    let content = format!("{}\n{row}\n", &row[..20]);
    let (problems, left_out) = imported(Source::Gsm8k, "train.jsonl", &content);
    assert_eq!(problems.len(), 2);
    assert!(left_out[0].starts_with("row 1 of ") && left_out[0].contains("not JSON"));
}

#[test]
fn a_mode_asks_one_way_and_only_mathematics_has_modes() {
    let row = lines(&[json!({"question": "1 + 1?", "answer": "#### 2"})]);
    let (problems, _) = with_options(Source::Gsm8k, "t.jsonl", &row, &in_words());
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].task, Task::MathCot);
    let files = Files::new();
    let path = files.add("t.jsonl", &row);
    let error = try_import(&Origin::Source(Source::HotpotQa), path, &in_words()).unwrap_err();
    assert!(error.to_string().contains("leave the mode out"), "{error}");
}

#[test]
fn math_is_read_from_a_file_a_problem_and_from_lines() {
    let row = json!({
        "problem": "Find $x$.", "level": "Level 5", "type": "Algebra",
        "solution": r"First $\boxed{0}$? No: $x = \boxed{\frac{1}{\sqrt{2}}}.$",
    });
    let pretty = serde_json::to_string_pretty(&row).unwrap();
    for content in [pretty, row.to_string()] {
        let (problems, left_out) = imported(Source::Math, "1.json", &content);
        assert_eq!(answers(&problems), [r"\frac{1}{\sqrt{2}}"; 2]);
        assert_eq!(problems[0].dataset, "MATH");
        assert!(problems[0].solutions[0].starts_with("First"));
        assert!(left_out.is_empty());
    }
    let bad = lines(&[
        row,
        json!({"problem": "y?", "solution": r"$\boxed{\frac{1}{2}$"}),
    ]);
    let (_, left_out) = imported(Source::Math, "train.jsonl", &bad);
    assert!(left_out[0].contains("row 2 of ") && left_out[0].contains("whose braces close"));
}

fn math_qa_row(index: usize, formula: &str, category: &str) -> Value {
    json!({
        "Problem": format!("problem {index} ?"), "Rationale": "\"explanation : 1 + 1 = 2 . answer : b\"",
        "options": format!("a ) 1 , b ) {index} , 200 , c ) 2.5 , d ) 3 , e ) none of these"),
        "correct": "b", "annotated_formula": formula, "linear_formula": "add(n0,n1)|", "category": category,
    })
}

#[test]
fn math_qa_takes_the_text_of_the_right_option() {
    let mut none = math_qa_row(1, "add(n0, n1)", "general");
    none["correct"] = json!("e");
    let mut unknown = math_qa_row(2, "add(n0, n1)", "general");
    unknown["correct"] = json!("f");
    let rows = json!([math_qa_row(0, "add(n0, n1)", "general"), none, unknown]);
    let (problems, left_out) = imported(Source::MathQa, "train.json", &rows.to_string());
    assert_eq!(answers(&problems), ["0 , 200"; 2]);
    assert_eq!(problems[0].instruction, "problem 0 ?");
    let solution = "explanation : 1 + 1 = 2 . answer : b\nAnswer:\n\\boxed{0 , 200}";
    assert_eq!(problems[0].solutions, [solution]);
    assert!(left_out[0].starts_with("element 2 of ") && left_out[0].contains("`none of these`"));
    assert!(
        left_out[1].starts_with("element 3 of ") && left_out[1].contains("none of the options")
    );
}

#[test]
fn math_qa_keeps_five_of_a_formula_rare_categories_first() {
    // Eight of one formula: six of the common category, two of a rare one. Spaces do not tell formulas apart.
    let mut rows: Vec<Value> = (0..6)
        .map(|index| math_qa_row(index, "add(n0, n1)", "general"))
        .collect();
    rows.extend((6..8).map(|index| math_qa_row(index, "add(n0,n1)", "Gain")));
    rows.extend((8..12).map(|index| math_qa_row(index, &format!("power(n{index})"), "general")));
    let content = Value::Array(rows).to_string();
    let (problems, left_out) = with_options(Source::MathQa, "train.json", &content, &in_words());
    let kept: Vec<&str> = problems.iter().map(|it| it.instruction.as_str()).collect();
    // Turns: rare, common, rare, common, common.
    let expected = [0, 1, 2, 6, 7, 8, 9, 10, 11].map(|index| format!("problem {index} ?"));
    assert_eq!(kept, expected);
    assert_eq!(left_out.len(), 3);
    assert!(left_out[0].starts_with("element 4 of ") && left_out[0].contains("5 others"));
    let all = ImportOptions {
        all_rows: true,
        ..in_words()
    };
    let (problems, left_out) = with_options(Source::MathQa, "train.json", &content, &all);
    assert_eq!((problems.len(), left_out.len()), (12, 0));
}

#[test]
fn num_glue_has_answers_choices_and_types_that_are_left_out() {
    let rows = [
        json!({"type": "Type_1", "question": "How many?", "answer": 12}),
        json!({"type": "Type_2", "question": "Weight?", "answer": "98"}),
        json!({"type": "Type_3", "question": "Which is faster?", "Option1": "the car", "Option2": "the bike", "answer": "Option 2"}),
        json!({"type": "Type_4", "question": "He had 3, and ____ more gives 5.", "answer": "2"}),
        json!({"type": "Type_8", "question": "Left?", "answer": 1.5}),
        json!({"type": "Type_5", "passage": "...", "question": "?", "answer": {"number": "3"}}),
        json!({"type": "Type_7", "statement1": "a", "statement2": "b", "options": "x", "answer": "Entailment"}),
    ];
    let content = lines(&rows);
    let (problems, left_out) = with_options(Source::NumGlue, "train.json", &content, &in_words());
    let truths: Vec<String> = problems
        .iter()
        .map(|problem| problem.ground_truth().unwrap().into_owned())
        .collect();
    assert_eq!(truths, ["12", "98", "(B) the bike", "2", "1.5"]);
    assert_eq!(
        problems[2].instruction,
        "Which is faster?\n(A) the car\n(B) the bike"
    );
    assert_eq!(left_out.len(), 2);
    assert!(left_out[0].contains("row 6 of ") && left_out[0].contains("left out, as in the paper"));
}

fn tab_mwp_rows() -> Value {
    let row = |grade: u64, choices: Value, answer: &str, kind: &str| {
        json!({
            "question": "How much is it?", "choices": choices, "answer": answer, "unit": "$",
            "table_title": "Prices", "table": "pen | $2\nbook | $4", "table_for_pd": {"thing": ["pen", "book"]},
            "row_num": 2, "column_num": 2, "solution": "...", "ques_type": kind, "ans_type": "integer_number",
            "grade": grade, "split": "train",
        })
    };
    json!({
        "17": row(5, Value::Null, "6", "free_text"),
        "18": row(4, json!(["yes", "no"]), "no", "multi_choice"),
        "19": row(7, Value::Null, "1,200", "free_text"),
        "20": row(4, json!(["yes", "no"]), "maybe", "multi_choice"),
    })
}

#[test]
fn tab_mwp_is_an_object_of_rows_on_one_line_or_many() {
    let rows = tab_mwp_rows();
    for content in [
        rows.to_string(),
        serde_json::to_string_pretty(&rows).unwrap(),
    ] {
        let (problems, left_out) = imported(Source::TabMwp, "problems_train.json", &content);
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0].id, "tabmwp-17-pot");
        assert_eq!(problems[0].task, Task::MathPot);
        assert_eq!(
            problems[0].instruction,
            "Table: Prices\npen | $2\nbook | $4\n\nHow much is it? (unit: $)"
        );
        assert_eq!(problems[0].gold, Gold::Answer("6".into()));
        assert_eq!(problems[1].ground_truth().unwrap(), "(B) no");
        assert!(problems[1].instruction.ends_with("\n(A) yes\n(B) no"));
        assert!(left_out[0].starts_with("element 3 of ") && left_out[0].contains("grade 7"));
        assert!(left_out[1].contains("`maybe`, which is none of the choices"));
    }
    let all = ImportOptions {
        all_rows: true,
        ..ImportOptions::default()
    };
    let (problems, _) = with_options(Source::TabMwp, "p.json", &rows.to_string(), &all);
    assert_eq!(problems.len(), 3);
    // The Hub has rows of their own, with an object inside.
    let row = lines(&[rows["17"].clone()]);
    let (problems, _) = imported(Source::TabMwp, "train.jsonl", &row);
    assert_eq!(problems.len(), 1);
}

#[test]
fn an_object_of_rows_that_is_cut_off_is_no_success() {
    let files = Files::new();
    let content = serde_json::to_string_pretty(&tab_mwp_rows()).unwrap();
    let path = files.add("p.json", &content[..content.len() - 400]);
    let origin = Origin::Source(Source::TabMwp);
    let error = try_import(&origin, path, &ImportOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("after 3 rows, it is no JSON"),
        "{error}"
    );
}
