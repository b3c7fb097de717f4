//! Recipe files: what is refused, and in which words.

use std::fs;

use eurus_recipes::Recipe;

/// A recipe of one's own.
pub const OWN: &str = r#"
name = "mine"

[model]
base = "models/small"

[data.sft]
to = "trl-messages"

[data.sft.sources.rows]
files = "rows.jsonl"

[sft]
learning_rate = 1e-5
"#;

fn refused(text: &str) -> String {
    Recipe::parse(text).expect_err(text).to_string()
}

#[test]
fn a_recipe_of_ones_own_needs_little() {
    let recipe = Recipe::parse(OWN).unwrap();
    assert_eq!((recipe.name(), recipe.title()), ("mine", "mine"));
    assert_eq!(recipe.small().unwrap(), None);
    assert_eq!(recipe.source("sft.learning_rate"), None);
    assert!(!recipe.is_confirmed("sft.learning_rate"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest() {
    let message = refused(&OWN.replace("learning_rate", "learning_rat"));
    assert!(message.contains("line 14"), "{message}");
    assert!(
        message.contains("did you mean `learning_rate`?"),
        "{message}"
    );
    let message = refused(&OWN.replace("[model]", "[modle]"));
    assert!(message.contains("did you mean `model`?"), "{message}");
    let message = refused(&format!("{OWN}\n[preference]\nalgorithm = \"kot\"\n"));
    assert!(message.contains("did you mean `kto`?"), "{message}");
}

#[test]
fn a_value_of_another_kind_is_refused_with_its_line() {
    let message = refused(&OWN.replace("1e-5", "\"1e-5\""));
    assert!(
        message.contains("line 14") && message.contains("expected f64"),
        "{message}"
    );
    let message = refused(&OWN.replace("1e-5", "1e-5\nepochs = -1"));
    assert!(message.contains("line 15"), "{message}");
    let message = refused(&OWN.replace("1e-5", "nan"));
    assert!(message.contains("`sft.learning_rate` is nan"), "{message}");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let with = |more: &str| refused(&format!("{OWN}\n{more}"));
    let cases = [
        (
            OWN.replace("[model]\nbase = \"models/small\"", ""),
            "give [model]",
        ),
        (
            OWN.replace("learning_rate = 1e-5", ""),
            "give `sft.learning_rate`",
        ),
        (OWN.replace("files = \"rows.jsonl\"", ""), "give `files`"),
        (
            OWN.replace("to = \"trl-messages\"", ""),
            "give the format to write",
        ),
        (OWN.replace("trl-messages", "trl-message"), "trl-message"),
        (
            OWN.replace("name = \"mine\"", "name = \"My own\""),
            "`My own`",
        ),
        (OWN.replace("sources.rows", "sources.\"a.b\""), "`a.b`"),
        (
            OWN.replace("to = ", "preset = \"eurus-7b-stf\"\nto = "),
            "did you mean `eurus-7b-sft`?",
        ),
        (
            OWN.replace("to = ", "preset = \"eurus-7b-sft\"\nto = "),
            "has the sources ultrainteract",
        ),
    ];
    for (text, wanted) in cases {
        let message = refused(&text);
        assert!(message.contains(wanted), "{message}");
    }
    let both =
        "[preference]\nlearning_rate = 1e-6\nbeta = 0.1\nloss = \"simpo\"\n\n[data.preference]";
    assert!(with(both).contains("a loss has its own"));
    assert!(with("[reward]\nlearning_rate = 1e-5").contains("give [data.reward]"));
    assert!(with("trees_per_step = 1\nforests_per_step = 1").contains("one or the other"));
    assert!(with("[eval.reward_benches]\nautoj = \"a\"").contains("no reward model"));
    let twice = "[eval]\ntasks = [\"sums\", \"own/sums.toml\"]";
    assert!(with(twice).contains("the name `sums` twice"));
    let data = "[data.sft.sources.data]\naugments = \"rows\"";
    assert!(with(data).contains("what a stage makes has this name"));
    assert!(with("[data.reward]\nto = \"pair\"").contains("leave [data.reward] out"));
    let message = with("[sources]\n\"sft.learning_rte\" = \"ours: mine\"");
    assert!(
        message.contains("did you mean `sft.learning_rate`?"),
        "{message}"
    );
}

#[test]
fn a_recipe_that_extends_another_has_its_values_but_not_the_sources_of_those_that_it_changes() {
    let text = "name = \"mine\"\nextends = \"eurus-7b-kto\"\n[preference]\nbeta = 0.3\n";
    let recipe = Recipe::parse(text).unwrap();
    let preference = recipe.file().preference.as_ref().unwrap();
    assert_eq!(
        (preference.beta, preference.learning_rate),
        (Some(0.3), Some(5e-7))
    );
    assert_eq!(recipe.source("preference.beta"), None);
    assert!(recipe.is_confirmed("preference.learning_rate"));
    assert_eq!((recipe.name(), recipe.title()), ("mine", "mine"));

    let message = refused(&text.replace("7b-kto", "7b-tko"));
    assert!(
        message.contains("did you mean `eurus-7b-kto`?"),
        "{message}"
    );
    let message = refused(&text.replace("[pref", "without = [\"preference.bta\"]\n[pref"));
    assert!(
        message.contains("which `eurus-7b-kto` does not have"),
        "{message}"
    );
}

#[test]
fn a_small_twin_with_another_learning_rate_is_refused() {
    let small = |line: &str| refused(&format!("{OWN}\n[small]\n{line}\n"));
    assert!(small("\"sft.learning_rate\" = 1.0").contains("no size, data or step"));
    assert!(small("\"sft.max_step\" = 1").contains("did you mean `sft.max_steps`?"));
    assert!(small("\"sft.max_steps\" = \"one\"").contains("[small]"));
    let text = format!("{OWN}\n[small]\n\"sft.max_steps\" = 3\n");
    let small = Recipe::parse(&text).unwrap().small().unwrap().unwrap();
    assert_eq!(small.name(), "mine-small");
    assert_eq!(small.file().sft.as_ref().unwrap().max_steps, Some(3));
    assert!(!small.is_confirmed("sft.max_steps"));
}

#[test]
fn errors_of_files_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let message = Recipe::read(&path).unwrap_err().to_string();
    assert!(message.contains("mine.toml: cannot be read"), "{message}");
    fs::write(&path, OWN.replace("[sft]", "[stf]")).unwrap();
    let message = Recipe::read(&path).unwrap_err().to_string();
    assert!(
        message.contains("mine.toml: ") && message.contains("did you mean `sft`?"),
        "{message}"
    );
    fs::write(&path, OWN).unwrap();
    assert_eq!(Recipe::read(&path).unwrap(), Recipe::parse(OWN).unwrap());
}
