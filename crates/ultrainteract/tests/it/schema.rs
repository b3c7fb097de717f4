//! The published JSON Schema of trees agrees with what is written and read.

use crate::support;
use proptest::prelude::*;
use serde_json::{Value, json};
use ultrainteract::formats::TreeRecord;

/// A copy for people who read the documentation; the test keeps it true.
const SCHEMA: &str = include_str!("../../../../docs/src/schema/ultrainteract-tree-1.schema.json");

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn record() -> impl Strategy<Value = Value> {
    support::tree().prop_map(|tree| serde_json::to_value(TreeRecord::from(&tree)).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_fits_the_schema(record in record()) {
        let validator = validator();
        let errors: Vec<String> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
        prop_assert_eq!(errors, Vec::<String>::new());
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_schema_and_reader_alike(
        mut record in record(), pointer in prop::sample::select(vec![
            "/format", "/version", "/id", "/task", "/dataset", "/max_turns", "/nodes", "/pairs",
            "/nodes/0/content", "/nodes/1/parent", "/nodes/1/content/action/text",
            "/nodes/1/content/action/verdict", "/pairs/0/chosen", "/pairs/0/id",
        ]), new in prop::sample::select(vec![json!(-1), json!({"x": 1}), json!([[]]), json!(true)])
    ) {
        let Some(value) = record.pointer_mut(pointer) else { return Ok(()) };
        *value = new;
        prop_assert!(!validator().is_valid(&record));
        prop_assert!(serde_json::from_value::<TreeRecord>(record).is_err());
    }

    #[test]
    fn an_unknown_or_missing_field_is_refused_by_both(mut record in record(), missing in 0usize..8) {
        let mut more = record.clone();
        more["notes"] = json!("x");
        let fields = record.as_object_mut().unwrap();
        let required = ["format", "version", "id", "task", "dataset", "max_turns", "nodes", "pairs"];
        fields.remove(required[missing]);
        for bad in [more, record] {
            prop_assert!(!validator().is_valid(&bad));
            prop_assert!(serde_json::from_value::<TreeRecord>(bad).is_err());
        }
    }
}
