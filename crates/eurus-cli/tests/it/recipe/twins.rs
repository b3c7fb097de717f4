//! The small twins of the paper's recipes run here.

use anyhow::{Result, ensure};
use eurus::recipes::Recipe;

use crate::common::{LEVEL, Workplace};

/// The twins whose whole way is gone in every test; the others share their stages with these.
const SHORT: [&str; 2] = ["eurus-7b-kto", "eurus-rm-7b"];

/// A twin in seconds: fewer steps than its own, and one item of each benchmark.
const FASTER: &str = "--set sft.max_steps=2 --set eval.limit=1 --set practice.context=256 --set sft.max_path_tokens=256";

#[test]
fn small_twins_run_whole_without_a_file_of_the_user() -> Result<()> {
    let all = std::env::var_os("EURUS_TWINS").is_some();
    for name in Recipe::names() {
        if !all && !SHORT.contains(&name) {
            continue;
        }
        let place = Workplace::new()?;
        let recipe = Recipe::built_in(&format!("{name}-small"))?;
        let mut run = format!("recipe run {name}-small {FASTER}");
        if recipe.file().preference.is_some() {
            run += " --set preference.max_steps=2 --set preference.max_path_tokens=256";
        }
        if recipe.file().reward.is_some() {
            run += " --set reward.max_steps=2 --set reward.max_path_tokens=256";
        }
        if recipe
            .file()
            .eval
            .as_ref()
            .is_some_and(|it| !it.tasks.is_empty())
        {
            run += &format!(" --set eval.sandbox={}", *LEVEL);
        }
        let done = place.succeed(&run)?;
        ensure!(done.contains("steps are done"), "{name}: {done}");
    }
    Ok(())
}
