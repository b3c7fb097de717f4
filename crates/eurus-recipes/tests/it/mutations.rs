//! Recipe files and overrides that have been broken: an error or another recipe, never a panic.

use std::collections::HashSet;

use eurus_recipes::{Places, Recipe};
use proptest::prelude::*;

use crate::reading::OWN;

/// Bits of TOML that are likely to be taken for something.
const BITS: [&str; 20] = [
    "\"",
    "[",
    "]",
    "=",
    "\n",
    ".",
    "nan",
    "-1",
    "99999999999999999999",
    "[sft]",
    "[small]",
    "without = [\"sft\"]\n",
    "extends = \"eurus-7b-kto\"\n",
    "\"model\" = 1\n",
    "[sources]\n",
    "é",
    "\u{0}",
    "{}",
    "#",
    "[data.sft.sources.x]\n",
];

fn texts() -> Vec<String> {
    let mut texts = vec![OWN.to_owned()];
    for name in Recipe::names() {
        let path = format!("{}/recipes/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        texts.push(std::fs::read_to_string(path).unwrap());
    }
    texts
}

#[derive(Debug, Clone)]
enum Change {
    LineGone(usize),
    LineTwice(usize),
    LinesSwapped(usize, usize),
    CharacterGone(usize),
    BitAdded(usize, usize),
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || any::<usize>();
    prop_oneof![
        place().prop_map(Change::LineGone),
        place().prop_map(Change::LineTwice),
        (place(), place()).prop_map(|(a, b)| Change::LinesSwapped(a, b)),
        place().prop_map(Change::CharacterGone),
        (place(), 0..BITS.len()).prop_map(|(at, bit)| Change::BitAdded(at, bit)),
        place().prop_map(Change::Cut),
    ]
}

fn changed(text: &str, change: &Change) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut characters: Vec<char> = text.chars().collect();
    let line = |place: &usize| place % text.lines().count().max(1);
    let character = |place: &usize| place % text.chars().count().max(1);
    if lines.is_empty() {
        return text.to_owned();
    }
    match change {
        Change::LineGone(at) => drop(lines.remove(line(at))),
        Change::LineTwice(at) => lines.insert(line(at), lines[line(at)]),
        Change::LinesSwapped(a, b) => lines.swap(line(a), line(b)),
        Change::CharacterGone(at) => {
            characters.remove(character(at));
            return characters.into_iter().collect();
        }
        Change::BitAdded(at, bit) => {
            let at = character(at);
            characters.splice(at..at, BITS[*bit].chars());
            return characters.into_iter().collect();
        }
        Change::Cut(at) => {
            characters.truncate(character(at));
            return characters.into_iter().collect();
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(256), ..ProptestConfig::default() })]

    #[test]
    fn a_broken_recipe_is_an_error_or_another_recipe(
        text in prop::sample::select(texts()),
        changes in prop::collection::vec(change(), 1..5),
    ) {
        let text = changes.iter().fold(text, |text, change| changed(&text, change));
        match Recipe::parse(&text) {
            Ok(recipe) => {
                let places = Places { data: "d".into(), benchmarks: "b".into(), runs: "r".into() };
                let steps = recipe.steps(&places);
                prop_assert!(!steps.is_empty());
                let outputs: HashSet<_> = steps.iter().map(|step| &step.output).collect();
                prop_assert_eq!(outputs.len(), steps.len());
                let again = Recipe::parse(&recipe.resolved());
                prop_assert!(again.is_ok(), "{:?}\n{}", again, recipe.resolved());
                prop_assert!(recipe.small().is_ok());
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_override_is_an_error_or_another_recipe(
        key in prop::sample::select(vec!["sft.seed", "sft.loss", "model.base", "eval.tasks", "name", "data.sft", "sft.lora_rank", ""]),
        rest in "(=)?[ -~é\u{1}]{0,12}",
    ) {
        let recipe = Recipe::built_in("eurus-7b-sft-small").unwrap();
        if let Ok(recipe) = recipe.with_override(&format!("{key}{rest}")) {
            prop_assert!(Recipe::parse(&recipe.resolved()).is_ok(), "{}", recipe.resolved());
        }
    }
}
