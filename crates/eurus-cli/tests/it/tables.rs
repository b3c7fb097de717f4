//! Parquet and Arrow files of other tools.

use crate::cases::{OF_A_STEP, PREFER, converted, ensure_first_loss, place_with, told_of};
use crate::common::ensure_says;
use anyhow::{Result, ensure};
use serde_json::Value;

#[test]
fn tables_of_other_tools_have_the_same_rows() -> Result<()> {
    let place = place_with("parquet")?;
    let expected = converted(&place, "plain.parquet", "pair")?;
    ensure!(expected.len() == 12, "{} rows", expected.len());
    for file in [
        "binary_text.parquet",
        "brotli.parquet",
        "dictionary.parquet",
        "large_string.parquet",
        "lz4.parquet",
        "odd_types.parquet",
        "pandas_index.parquet",
        "snappy_small_groups.parquet",
        "string_view.parquet",
        "zstd_v2.parquet",
        "x.arrow",
    ] {
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["12 records (pair), all valid"])?;
        ensure!(converted(&place, file, "pair")? == expected, "{file}");
    }
    let texts = |rows: &[Value]| -> Vec<[Value; 3]> {
        let text = |row: &Value| ["trajectory", "chosen", "rejected"].map(|it| row[it].clone());
        rows.iter().map(text).collect()
    };
    // Ids of another type, and none.
    for file in ["numeric_id.parquet", "json_in_string.parquet"] {
        let rows = converted(&place, file, "pair")?;
        ensure!(texts(&rows) == texts(&expected), "{file}: {rows:?}");
    }
    for file in ["plain.parquet", "binary_text.parquet", "x.arrow"] {
        told_of(
            &place,
            PREFER,
            file,
            &["12 rows read", "12 pairs in 6 trees"],
        )?;
        ensure_first_loss(&place, std::f64::consts::LN_2)?;
    }
    let empty = place.refusal("data validate no_rows.parquet")?;
    ensure_says(&empty, &["no_rows.parquet: there is no record in it"])?;
    // What other rows have is null in a table; in one row it is set, and the template has no place for it.
    let rows = converted(&place, "unified_nulls.parquet", "trl-preference-chat")?;
    let calls: Vec<&Value> = rows
        .iter()
        .map(|row| &row["rejected"][0]["tool_calls"])
        .collect();
    ensure!(
        rows.len() == 6 && calls[3][0]["function"]["name"] == "x",
        "{calls:?}"
    );
    ensure!(
        calls.iter().filter(|calls| calls.is_null()).count() == 5,
        "{calls:?}"
    );
    let run = format!("{PREFER} --model model --data unified_nulls.parquet {OF_A_STEP}");
    let why = "does not write `tool_calls`";
    ensure_says(&place.refusal(&run)?, &["row 4 of row group 1", why])?;
    let dropped = [
        "6 rows read; dropped: 1 invalid (row 4",
        why,
        "5 pairs in 5 trees",
    ];
    let run = format!("{PREFER} --drop-unusable");
    told_of(&place, &run, "unified_nulls.parquet", &dropped)
}

#[test]
fn columns_of_other_types_do_not_matter_in_tables() -> Result<()> {
    let place = place_with("parquet_time_column")?;
    let expected = converted(&place, "naive.parquet", "pair")?;
    ensure!(expected.len() == 12, "{} rows", expected.len());
    for file in [
        "binary_bytes",
        "date",
        "decimal",
        "duration",
        "half",
        "map",
        "nan",
        "tz_city",
        "tz_utc",
    ] {
        let file = format!("{file}.parquet");
        let valid = place.succeed(&format!("data validate {file}"))?;
        ensure_says(&valid, &["12 records (pair), all valid"])?;
        ensure!(converted(&place, &file, "pair")? == expected, "{file}");
    }
    told_of(&place, PREFER, "tz_city.parquet", &["12 pairs in 6 trees"])
}
