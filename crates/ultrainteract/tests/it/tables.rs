//! Rows in tables of other tools: Arrow's own files, columns that no format has, lists in strings.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression};
use parquet::file::properties::WriterProperties;
use ultrainteract::Error;
use ultrainteract::example::Example;
use ultrainteract::formats::Format;
use ultrainteract::input;

/// Preferences, with a list of messages in a string, and a point in time that no format has.
fn table(first: usize, rows: usize) -> RecordBatch {
    let numbers = first..first + rows;
    let prompts = numbers.clone().map(|n| format!("{n} + 1?"));
    let chosen = numbers.clone().map(|n| format!("{}", n + 1));
    let rejected = numbers
        .clone()
        .map(|n| format!(r#"[{{"role": "assistant", "content": "{n}"}}]"#));
    let times = TimestampMicrosecondArray::from_iter_values(numbers.map(|n| n as i64));
    RecordBatch::try_from_iter([
        (
            "messages_before",
            Arc::new(StringArray::from_iter_values(rejected)) as _,
        ),
        (
            "prompt",
            Arc::new(StringArray::from_iter_values(prompts)) as _,
        ),
        (
            "chosen",
            Arc::new(StringArray::from_iter_values(chosen)) as _,
        ),
        (
            "rejected",
            Arc::new(StringArray::from_iter_values((0..rows).map(|_| "0"))) as _,
        ),
        (
            "created",
            Arc::new(times.with_timezone("Europe/Paris")) as _,
        ),
    ])
    .expect("columns of one length")
}

fn chosen_of(path: &Path) -> Vec<String> {
    let format = Format::of_file(path).expect("a format").expect("rows");
    input::read(vec![path.to_path_buf()], move |record| format.parse(record))
        .map(|record| match record.expect("a row").value {
            Example::Preference(it) => it.chosen[0].content.clone(),
            other => panic!("a {} instead of a preference", other.kind()),
        })
        .collect()
}

#[test]
fn tables_of_every_kind_have_the_same_rows_and_times_do_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (table(1, 3), table(4, 2));
    let create = |name: &str| File::create(folder.path().join(name)).expect("a file");

    let mut file = FileWriter::try_new(create("a.arrow"), &a.schema()).expect("a writer");
    let mut stream = StreamWriter::try_new(create("b.arrow"), &a.schema()).expect("a writer");
    let level = BrotliLevel::default();
    let properties = WriterProperties::builder().set_compression(Compression::BROTLI(level));
    let properties = Some(properties.build());
    let mut parquet =
        ArrowWriter::try_new(create("c.parquet"), a.schema(), properties).expect("a writer");
    for part in [&a, &b] {
        file.write(part).expect("written");
        stream.write(part).expect("written");
        parquet.write(part).expect("written");
    }
    file.finish().expect("written");
    stream.finish().expect("written");
    parquet.close().expect("written");

    for name in ["a.arrow", "b.arrow", "c.parquet"] {
        let chosen = chosen_of(&folder.path().join(name));
        assert_eq!(chosen, ["2", "3", "4", "5", "6"], "{name}");
    }
}

#[test]
fn an_arrow_file_that_is_cut_off_is_refused_and_no_row_is_made_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.arrow");
    let rows = table(1, 3);
    for has_footer in [true, false] {
        let file = File::create(&path).expect("a file");
        if has_footer {
            let mut writer = FileWriter::try_new(file, &rows.schema()).expect("a writer");
            writer
                .write(&rows)
                .and_then(|()| writer.finish())
                .expect("written");
        } else {
            let mut writer = StreamWriter::try_new(file, &rows.schema()).expect("a writer");
            writer
                .write(&rows)
                .and_then(|()| writer.finish())
                .expect("written");
        }
        let whole = std::fs::read(&path).expect("the file");
        for share in [20, 50, 80] {
            std::fs::write(&path, &whole[..whole.len() * share / 100]).expect("a part");
            let read = input::read(vec![path.clone()], |record| {
                Format::TrlPreference.parse(record)
            });
            let records: Vec<_> = read.collect();
            let (rows, problems): (Vec<_>, Vec<_>) = records.into_iter().partition(Result::is_ok);
            assert!(rows.len() <= 3);
            let refused = problems.iter().filter_map(|it| it.as_ref().err());
            for problem in refused.clone() {
                let said = problem.error.to_string();
                assert!(
                    matches!(problem.error.fault(), Error::Table { kind: "Arrow", .. }),
                    "{said}"
                );
            }
            assert!(
                rows.is_empty() && refused.count() == 1,
                "{has_footer}, {share} %"
            );
        }
    }
}

#[test]
fn messages_may_be_json_in_a_string() {
    let row = br#"{"trajectory": "[{\"from\": \"user\", \"value\": \"1 + 1?\"}]", "chosen": "2", "rejected": "3"}"#;
    let pair = Format::Pair.parse(row).expect("a pair");
    let preferences = pair.preferences().expect("one");
    assert_eq!(preferences[0].prompt[0].content, "1 + 1?");
    let row = br#"{"messages": "[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]"}"#;
    assert!(Format::TrlMessages.parse(row).is_ok());
    let error = Format::TrlMessages.parse(br#"{"messages": "a and b"}"#);
    let said = error.expect_err("no list").to_string();
    assert!(said.contains("holds no list as JSON"), "{said}");
}

#[test]
fn a_row_group_that_is_damaged_costs_its_rows_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.parquet");
    let file = File::create(&path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, table(0, 1).schema(), None).expect("a writer");
    for group in 0..3 {
        writer.write(&table(10 * group + 1, 4)).expect("written");
        writer.flush().expect("a row group");
    }
    let metadata = writer.close().expect("written");
    let mut bytes = std::fs::read(&path).expect("the file");
    let column = metadata.row_group(1).column(2);
    let start = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset()) as usize;
    for byte in &mut bytes[start..start + column.compressed_size() as usize] {
        *byte ^= 0xff;
    }
    std::fs::write(&path, bytes).expect("the damaged file");

    let records = input::read(vec![path], |record| Format::TrlPreference.parse(record));
    let (rows, refused): (Vec<_>, Vec<_>) = records.partition(Result::is_ok);
    assert_eq!(rows.len(), 8, "those of the first and the last group");
    let [Err(refused)] = &refused[..] else {
        panic!("{refused:?}");
    };
    let said = refused.error.to_string();
    assert!(
        said.contains("row group 2") && said.contains("4 rows could not be read"),
        "{said}"
    );
}
