//! Data of tasks: every form, what is wrong in them, and what is said of that.

use std::fs;

use eurus_eval::graders::Rules;
use eurus_eval::tasks::{DataPlace, Task};
use serde_json::{Value, json};

use crate::own::{OWN_ROWS, OWN_TASK, Own};

#[test]
fn rows_that_are_no_items_are_counted_and_the_others_are_used() {
    let rows = "{\"first\": 1, \"second\": 1, \"result\": 2}\n\
        {\"first\": 1, \"secund\": 1, \"result\": 2}\n\
        {\"first\": 1, \"second\": 1, \"result\": null}\n\
        {\"first\": 1,\n\
        [1, 2]\n\
        \n\
        {\"first\": 2, \"second\": 2, \"result\": 4, \"more\": true}\n";
    let items = Own::new(OWN_TASK, "own-task.jsonl", rows).load().unwrap();
    assert_eq!(items.items.len(), 2);
    let bad: Vec<String> = items.bad.iter().map(ToString::to_string).collect();
    for (bad, (row, says)) in bad.iter().zip([
        ("row 2 of ", "has no field `second`; did you mean `secund`?"),
        (
            "row 3 of ",
            "has no right answer: `result` is empty; fill it in",
        ),
        ("row 4 of ", "is no JSON"),
        ("row 5 of ", "is no object of fields"),
    ]) {
        assert!(bad.starts_with(row) && bad.contains(says), "{bad}");
        assert!(bad.contains("own-task.jsonl"), "{bad}");
    }
    assert_eq!(bad.len(), 4);
    let note = items.note().unwrap();
    assert!(
        note.starts_with("4 rows are left out, the first: row 2"),
        "{note}"
    );
}

#[test]
fn an_id_that_is_there_twice_is_refused_with_both_rows() {
    let task = OWN_TASK.replace("[data]", "[data]\nid = \"first\"");
    let rows = "{\"first\": 1, \"second\": 1, \"result\": 2}\n{\"first\": 1, \"second\": 2, \"result\": 3}\n";
    let items = Own::new(&task, "own-task.jsonl", rows).load().unwrap();
    assert_eq!(items.items[0].id, "1");
    let bad = items.bad[0].to_string();
    assert!(
        bad.starts_with("row 2 of ") && bad.contains("has the id `1` of row 1"),
        "{bad}"
    );
}

#[test]
fn data_without_one_item_and_missing_data_are_errors_that_say_what_is_wanted() {
    let own = Own::new(OWN_TASK, "own-task.jsonl", "{\"first\": 1}\n");
    let said = own.load().unwrap_err().to_string();
    assert!(
        said.contains("no row is an item of the task `sums`; row 1 of"),
        "{said}"
    );
    let own = Own::new(OWN_TASK, "own-task.jsonl", "\n");
    let said = own.load().unwrap_err().to_string();
    assert!(said.contains("there is no row in it"), "{said}");
    let said = Task::built_in("svamp").unwrap();
    let said = said
        .load(&DataPlace::new("nowhere"))
        .unwrap_err()
        .to_string();
    for words in [
        "nowhere",
        "`svamp`",
        "SVAMP.json",
        "Body",
        "published at https://",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn one_hash_for_data_whether_they_are_compressed_or_not() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(OWN_ROWS.as_bytes()).unwrap();
    let plain = Own::new(OWN_TASK, "own-task.jsonl", OWN_ROWS)
        .load()
        .unwrap();
    let compressed = Own::new(OWN_TASK, "own-task.jsonl.gz", gzip.finish().unwrap())
        .load()
        .unwrap();
    assert_eq!(plain.sha256, compressed.sha256);
    assert_eq!(plain.items, compressed.items);
    let other = Own::new(OWN_TASK, "own-task.jsonl", OWN_ROWS.replace('3', "4")).load();
    assert_ne!(plain.sha256, other.unwrap().sha256);
}

#[test]
fn the_same_rows_in_every_form_are_the_same_items() {
    let rows: Vec<Value> = OWN_ROWS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let wanted = Own::new(OWN_TASK, "own-task.jsonl", OWN_ROWS)
        .load()
        .unwrap()
        .items;
    let column = |field: &str| -> Vec<&Value> { rows.iter().map(|row| &row[field]).collect() };
    let columns =
        json!({ "first": column("first"), "second": column("second"), "result": column("result") });
    let keyed =
        |field: &str| json!({ "0": rows[0][field], "1": rows[1][field], "2": rows[2][field] });
    let by_key =
        json!({ "first": keyed("first"), "second": keyed("second"), "result": keyed("result") });
    for (form, content) in [
        ("", json!(rows)),
        ("format = \"columns\"", columns),
        ("format = \"columns\"", by_key),
        (
            "list = \"examples\"",
            json!({ "about": 1, "examples": rows }),
        ),
    ] {
        let task = OWN_TASK.replace("[data]", &format!("[data]\n{form}"));
        let items = Own::new(&task, "own-task.jsonl", content.to_string())
            .load()
            .unwrap();
        assert_eq!(items.items, wanted, "{form}");
    }
}

#[test]
fn parts_of_a_folder_have_their_own_shots_and_texts() {
    let task = r#"
        name = "capitals"
        gold = "city"
        groups = { continent = "continent" }
        [data]
        file = "capitals.tar"
        parts = "test/*.csv"
        part = "continent"
        format = "csv"
        fields = ["country", "city"]
        shots = "dev/*.csv"
        texts = { hint = "*.txt" }
        nan_for_authors = ["None"]
        [prompt]
        shots = { count = 1 }
        raw = "{{ hint.strip() }}\n{% for shot in shots %}{{ shot.country }}: {{ shot.city }}\n{% endfor %}{{ country }}:"
    "#;
    let own = Own::new(
        task,
        "test/asia.csv",
        "Japan,Tokyo\n\"Korea, South\",Seoul\nNone,None\nNepal\n",
    )
    .with("test/europe.csv", "Italy,Rome\n")
    .with("dev/asia.csv", "China,Beijing\nIndia,Delhi\n")
    .with("dev/europe.csv", "Spain,Madrid\n")
    .with("asia.txt", "Of Asia.\n")
    .with("europe.txt", "Of Europe.\n");
    let items = own.load().unwrap();
    let prompt = |at: usize| items.items[at].request.raw_prompt.clone().unwrap();
    assert_eq!(prompt(1), "Of Asia.\nChina: Beijing\nKorea, South:");
    assert_eq!(prompt(3), "Of Europe.\nSpain: Madrid\nItaly:");
    assert_eq!(items.items[3].id, "europe[0]");
    assert_eq!(items.items[3].groups["continent"], "europe");
    assert_eq!(items.items[2].gold, json!("nan"));
    let bad = items.bad[0].to_string();
    assert_eq!(
        bad,
        "row 4 of test/asia.csv: has 1 columns; wanted are 2: country, city"
    );
    let fixed = own
        .read()
        .unwrap()
        .load(&DataPlace::new(own.folder.path()).with_rules(Rules::Fixed));
    assert_eq!(fixed.unwrap().items[2].gold, json!("None"));
}

#[test]
fn rows_of_gsm_plus_in_objects_of_seeds_are_those_in_lines() {
    let nested = json!({
        "0": { "perturbation_questions": {
            "numerical substitution": { "question": "1 + 2?", "answer": "3" },
            "critical thinking": { "question": "1 + it?", "answer": "None" },
        }},
        "1": { "perturbation_questions": { "distraction insertion": { "question": "2 + 2?", "answer": "4" } } },
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gsmplus_test.json"), nested.to_string()).unwrap();
    let items = Task::built_in("gsmplus")
        .unwrap()
        .load(&DataPlace::new(folder.path()))
        .unwrap();
    let seen: Vec<_> = items
        .items
        .iter()
        .map(|item| {
            (
                item.cluster.as_deref().unwrap(),
                item.groups["perturbation"].as_str(),
                &item.gold,
            )
        })
        .collect();
    assert_eq!(seen.len(), 3);
    assert!(seen.contains(&("1", "distraction insertion", &json!("4"))));
    assert!(
        items
            .note()
            .unwrap()
            .starts_with("3 items, where the published data have 10552")
    );
}
