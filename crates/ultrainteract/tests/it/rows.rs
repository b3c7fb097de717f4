//! Bad rows and files: the error names file, row and field, and nothing is left half-written.

use std::fs;

use ultrainteract::formats::{self, JsonlReader, MAX_LINE_BYTES, PairRow, Record, SftRow};
use ultrainteract::{Error, PreferenceTree, Task, rebuild};

const GOOD: &str = r#"{"id":"p_1_1","parent_id":"p","task":"Logic","dataset":"toy","trajectory":[{"from":"user","value":"q"},{"from":"assistant","value":"a"},{"from":"user","value":"no"}],"chosen":"yes","rejected":"never"}"#;

/// The error of a file whose third line has one thing changed.
fn error_of<T: Record>(good: &str, from: &str, to: &[u8]) -> String {
    let at = good.find(from).expect("the part to change is there");
    let mut bad = good.as_bytes()[..at].to_vec();
    bad.extend_from_slice(to);
    bad.extend_from_slice(&good.as_bytes()[at + from.len()..]);
    let input = [good.as_bytes(), b"\n\n", &bad, b"\n", good.as_bytes()].concat();
    let mut rows = JsonlReader::<_, T>::new(&input[..], "data/pairs.jsonl");
    assert!(rows.next().unwrap().is_ok());
    let error = rows.next().unwrap().err().expect("the bad row is refused");
    assert!(
        rows.next().unwrap().is_ok(),
        "the reader goes on after a bad row"
    );
    assert!(rows.next().is_none());
    let text = error.to_string();
    text.strip_prefix("row 3 of data/pairs.jsonl: ")
        .unwrap_or_else(|| panic!("no place in {text:?}"))
        .to_string()
}

#[test]
fn every_fault_of_a_pair_row_names_its_field() {
    let cases: &[(&str, &[u8], &str)] = &[
        (
            r#""yes""#,
            br#""""#,
            "field `chosen` is empty or blank; give it text or drop the row",
        ),
        (
            r#""never""#,
            br#"" \n""#,
            "field `rejected` is empty or blank; give it text or drop the row",
        ),
        (
            r#""never""#,
            br#""yes""#,
            "field `rejected` equals field `chosen`; a pair needs two different actions, drop the row",
        ),
        (
            r#""assistant""#,
            br#""user""#,
            "field `trajectory[1].from` is `user` where `assistant` must speak; a trajectory starts with the user and alternates",
        ),
        (
            r#""user""#,
            br#""assistant""#,
            "field `trajectory[0].from` is `assistant` where `user` must speak; a trajectory starts with the user and alternates",
        ),
        (
            r#",{"from":"user","value":"no"}"#,
            b"",
            "field `trajectory` ends with the assistant after 2 messages; it must end with the user message that both actions answer",
        ),
        (
            r#""value":"a""#,
            br#""value":"""#,
            "field `trajectory[1].value` is empty or blank; give it text or drop the row",
        ),
        (
            r#""p_1_1""#,
            br#""""#,
            "field `id` is empty or blank; give it text or drop the row",
        ),
        (
            r#"[{"from":"user","value":"q"},{"from":"assistant","value":"a"},{"from":"user","value":"no"}]"#,
            b"[]",
            "field `trajectory` is empty or blank; give it text or drop the row",
        ),
        (
            r#""Logic""#,
            br#""Poetry""#,
            "field `task`: unknown task `Poetry`; known are Coding, Math_CoT, Math_PoT, Logic",
        ),
        (
            r#""assistant""#,
            br#""bot""#,
            "field `trajectory[1].from`: unknown variant `bot`, expected `user` or `assistant`",
        ),
        (r#","chosen":"yes""#, b"", "field `chosen`: is missing"),
        (
            r#","value":"no""#,
            b"",
            "field `trajectory[2].value`: is missing",
        ),
        (
            r#""yes""#,
            b"7",
            "field `chosen`: invalid type: integer `7`, expected a string",
        ),
        (
            r#""yes""#,
            b"\"y\xffs\"",
            "field `chosen` is not UTF-8 at column 178; convert the file to UTF-8",
        ),
        (
            r#""value":"q""#,
            b"\"value\":\"\xc3\"",
            "field `trajectory[0].value` is not UTF-8 at column 100; convert the file to UTF-8",
        ),
        (
            r#""yes","#,
            br#""yes" "#,
            "not JSON at column 182, in field `(row)`: expected `,` or `}`",
        ),
        (
            r#""rejected":"never"}"#,
            br#""rejec"#,
            "not JSON at column 187, in field `(row)`: EOF while parsing a string",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(&error_of::<PairRow>(GOOD, from, to), expected);
    }
}

#[test]
fn every_fault_of_an_sft_row_names_its_field() {
    let good = r#"{"id":"p_1_1","parent_id":"p","task":"Math_Cot","dataset":"toy","instruction":"q","response":"a"}"#;
    assert_eq!(
        error_of::<SftRow>(good, r#""a""#, br#""""#),
        "field `response` is empty or blank; give it text or drop the row"
    );
    assert_eq!(
        error_of::<SftRow>(good, r#""instruction":"q","#, b""),
        "field `instruction`: is missing"
    );
}

#[test]
fn every_fault_of_a_tree_names_its_place() {
    let mut tree = PreferenceTree::new("p", Task::Logic, "toy", "q").unwrap();
    let row: PairRow = serde_json::from_str(GOOD).unwrap();
    for rebuilt in rebuild::trees_from_pairs([row]).unwrap() {
        tree = rebuilt;
    }
    let good = serde_json::to_string(&tree).unwrap();
    let cases: &[(&str, &[u8], &str)] = &[
        (
            r#""version":1"#,
            br#""version":2"#,
            "field `version` is `2`, this release reads `1`; read the file with the release that wrote it",
        ),
        (
            r#""version":1"#,
            br#""version":9,"new":[]"#,
            "field `version` is `9`, this release reads `1`; read the file with the release that wrote it",
        ),
        (
            "ultrainteract-tree",
            b"other",
            "field `format` is `other`, this release reads `ultrainteract-tree`; read the file with the release that wrote it",
        ),
        (
            r#""text":"a""#,
            br#""text":"""#,
            "field `nodes[1]`: the action is empty or blank; give it text",
        ),
        (
            r#""parent":1"#,
            br#""parent":9"#,
            "field `nodes[2]`: tree `p` has no node 9; it has 2 nodes",
        ),
        (
            r#"{"instruction":"q"}"#,
            br#"{"observation":{"execution":null,"feedback":"x","critique":null}}"#,
            "field `nodes[0]`: is an observation where the instruction, without a parent, must be",
        ),
        (
            r#""rejected":4"#,
            br#""rejected":3"#,
            "field `pairs[0]`: in tree `p`, chosen 3 and rejected 3 are no pair: they are the same node",
        ),
        (
            r#""verdict":"correct""#,
            br#""verdict":"fine""#,
            "field `nodes[3].content.action.verdict`: unknown variant `fine`, expected one of `correct`, `incorrect`, `unjudged`",
        ),
        (
            r#""max_turns":5"#,
            br#""max_turns":1"#,
            "field `nodes[3]`: in tree `p`, turn 2 exceeds the limit of 1 turns; raise `max_turns` or stop here",
        ),
        (
            r#""pairs""#,
            br#""colour":1,"pairs""#,
            "field `colour`: unknown field `colour`, expected one of `format`, `version`, `id`, `task`, `dataset`, `ground_truth`, `max_turns`, `nodes`, `pairs`",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(&error_of::<PreferenceTree>(&good, from, to), expected);
    }
}

#[test]
fn a_byte_order_mark_carriage_returns_and_blank_lines_are_passed_over() {
    let input = format!("\u{feff}{GOOD}\r\n\r\n  \n{GOOD}");
    let mut rows = JsonlReader::<_, PairRow>::new(input.as_bytes(), "x");
    assert!(rows.by_ref().all(|row| row.is_ok()));
    assert_eq!(rows.line(), 4);
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    use std::io::{BufReader, Read};
    let endless = std::io::repeat(b'x').take(MAX_LINE_BYTES as u64 + 100);
    let input = BufReader::new(endless.chain(&b"\n"[..]).chain(GOOD.as_bytes()));
    let mut rows = JsonlReader::<_, PairRow>::new(input, "x");
    let error = rows.next().unwrap().unwrap_err();
    assert!(
        matches!(error.fault(), Error::RecordTooLong { bytes, .. } if *bytes == MAX_LINE_BYTES as u64 + 100),
        "{error}"
    );
    assert!(rows.next().unwrap().is_ok());
    assert_eq!(rows.line(), 2);
}

#[test]
fn a_missing_file_and_a_folder_are_errors_that_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.jsonl");
    let error = formats::read_jsonl::<PairRow>(&missing)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot open ") && error.contains("missing.jsonl"),
        "{error}"
    );
    let nowhere = folder.path().join("no/such/folder/rows.jsonl");
    let error = formats::write_jsonl(&nowhere, [1]).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot create ") && error.contains("rows.jsonl"),
        "{error}"
    );
    if let Ok(mut rows) = formats::read_jsonl::<PairRow>(folder.path()) {
        assert!(matches!(rows.next(), Some(Err(Error::Io { .. }))));
        assert!(rows.next().is_none(), "a failed read ends the iterator");
    }
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    formats::write_jsonl(&path, ["old"]).unwrap();

    /// Has no JSON form.
    struct Unwritable;
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no form"))
        }
    }
    let mut writer = formats::JsonlWriter::create(&path).unwrap();
    writer.write("new").unwrap();
    let error = writer.write(&Unwritable).unwrap_err();
    assert!(
        matches!(error, Error::Unwritable { item: 2, .. }),
        "{error}"
    );
    drop(writer);

    assert_eq!(fs::read_to_string(&path).unwrap(), "\"old\"\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(formats::write_jsonl(&path, ["new", "newer"]).unwrap(), 2);
    assert_eq!(fs::read_to_string(&path).unwrap(), "\"new\"\n\"newer\"\n");
}

#[test]
fn rebuilding_from_a_file_names_the_row_with_too_many_turns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    let good: PairRow = serde_json::from_str(GOOD).unwrap();
    let mut deep = good.clone();
    for _ in 0..4 {
        deep.trajectory.extend(good.trajectory[1..].to_vec());
    }
    formats::write_jsonl(&path, [&good, &deep]).unwrap();
    let error = rebuild::read_trees_from_pairs(&path)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("row 2 of ") && error.contains("turn 6 exceeds the limit of 5"),
        "{error}"
    );

    let mut rebuilder = rebuild::Rebuilder::new().with_max_turns(6).unwrap();
    rebuilder.push(&deep).unwrap();
    assert_eq!(rebuilder.finish()[0].turns(), 6);
    let error = rebuild::trees_from_pairs([&good, &deep])
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("pair row 2 (id `p_1_1`): "), "{error}");
}
