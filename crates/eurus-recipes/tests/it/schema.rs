//! The published schema is that of the code, and what is read fits it.

use std::fs;

use eurus_recipes::{Recipe, RecipeFile};
use serde_json::Value;

use crate::reading::OWN;
use crate::recipes::every;

const SCHEMA: &str = include_str!("../../../../docs/src/schema/eurus-recipe-1.schema.json");

#[test]
fn the_schema_of_the_documentation_is_that_of_the_code() {
    let code = serde_json::to_string_pretty(&RecipeFile::schema()).unwrap() + "\n";
    let folder = env!("CARGO_TARGET_TMPDIR");
    test_support::assert_published(&code, SCHEMA, "eurus-recipe-1.schema.json", folder);
}

#[test]
fn recipes_as_written_and_as_resolved_fit_the_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let names = [Recipe::names(), Recipe::other_names()].concat();
    let files = names.into_iter().map(|name| {
        let path = format!("{}/recipes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).unwrap()
    });
    let resolved = every().into_iter().map(|recipe| recipe.resolved());
    for text in files.chain(resolved).chain([OWN.to_owned()]) {
        let file: Value = toml::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&file)
            .map(|it| it.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{text}");
    }
}
