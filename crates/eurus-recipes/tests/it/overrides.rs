//! Values given on a command line, and the recipe that comes of them as text.

use eurus_recipes::{Recipe, Result};

use crate::recipes::every;

fn kto() -> Recipe {
    Recipe::built_in("eurus-7b-kto").unwrap()
}

#[test]
fn a_value_is_of_the_kind_that_its_key_takes() -> Result<()> {
    let recipe = kto()
        .with_override("sft.learning_rate=1e-4")?
        .with_override("sft.learning_rate=1")?
        .with_override("sft.max_steps = 7")?
        .with_override("preference.algorithm=nca")?
        .with_override("sft.drop_unusable=false")?
        .with_override("sft.lora_targets=q_proj, v_proj")?
        .with_override("eval.tasks=svamp,own/sums.toml")?
        .with_override("model.base=runs/7")?
        .with_override("data.sft.sources.ultrachat.take=10%")?
        .with_override("eval.limit=10")?;
    let sft = recipe.file().sft.clone().unwrap();
    assert_eq!((sft.learning_rate, sft.max_steps), (Some(1.0), Some(7)));
    assert_eq!(sft.drop_unusable, Some(false));
    assert_eq!(
        sft.lora_targets,
        Some(vec!["q_proj".to_owned(), "v_proj".to_owned()])
    );
    assert_eq!(recipe.file().model.clone().unwrap().base, "runs/7");
    assert_eq!(
        recipe.file().eval.clone().unwrap().tasks,
        ["svamp", "own/sums.toml"]
    );
    assert!(!recipe.is_confirmed("sft.learning_rate"));
    assert_eq!(recipe.source("sft.learning_rate"), Some("ours: overridden"));
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_with_what_is_wanted() {
    let refused = |given: &str| kto().with_override(given).unwrap_err().to_string();
    let cases = [
        ("sft.learning_rate", "KEY=VALUE"),
        ("sft.learning_rat=1", "did you mean `sft.learning_rate`?"),
        ("sft=1", "is a table"),
        ("sft.epochs=1.5", "`1.5` is not a whole number"),
        ("sft.epochs=-1", "from 0 on"),
        ("sft.learning_rate=fast", "`fast` is not a number"),
        ("sft.learning_rate=inf", "`inf` is not a number"),
        ("sft.mpi=yes", "`true` or `false`"),
        ("preference.algorithm=kot", "did you mean `kto`?"),
        ("data.sft.sources.ultrachat.take=some", "some"),
        ("data.sft.sources.mine.take=1", "give `files`"),
        ("extends=eurus-7b-sft", "makes a recipe"),
        ("sources.sft=ours: x", "makes a recipe"),
        ("=1", "there is no key"),
        ("sft.seed.x=1", "is a value"),
    ];
    for (given, wanted) in cases {
        let message = refused(given);
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn a_resolved_recipe_is_the_same_when_it_is_read_again() {
    for recipe in every() {
        let text = recipe.resolved();
        let again = Recipe::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again.values(), recipe.values(), "{}", recipe.name());
        assert_eq!(
            (again.name(), again.title()),
            (recipe.name(), recipe.title())
        );
        assert_eq!(again.resolved().lines().count(), text.lines().count());
    }
}

#[test]
fn a_resolved_recipe_has_the_sources_behind_its_values() {
    let text = kto().with_override("sft.seed=3").unwrap().resolved();
    for line in [
        "name = \"eurus-7b-kto\"",
        "learning_rate = 2e-5  # appendix B",
        "learning_rate = 5e-7  # appendix B",
        "desirable_weight = 1.33  # appendix B: lambda+ / lambda- = 1.33",
        "seed = 3  # ours: overridden",
        "[data.sft.sources.ultrachat]",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert!(!text.contains("extends"));
}
