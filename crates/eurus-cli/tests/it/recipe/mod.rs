//! `eurus recipe`, as its users run it.

mod bad_input;
mod check;
#[cfg(unix)]
mod kills;
mod run;
mod twins;

use anyhow::{Result, ensure};

use crate::common::{Workplace, ensure_says};

#[test]
fn recipes_are_listed_and_shown_with_sources_and_as_commands() -> Result<()> {
    let place = Workplace::new()?;
    ensure_says(
        &place.succeed("recipe list")?,
        &[
            "eurus-7b-sft",
            "eurus-70b-nca",
            "eurus-rm-7b-without-ldr",
            "small-eurus",
        ],
    )?;
    let shown = place.succeed("recipe show eurus-7b-kto --set preference.learning_rate=1e-6")?;
    ensure_says(
        &shown,
        &["algorithm = \"kto\"", "1e-6", "# ours", "# section"],
    )?;
    std::fs::write(place.path("own.toml"), &shown)?;
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split("  #").next());
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let again = place.succeed("recipe show own.toml")?;
    ensure!(values(&again) == values(&shown), "read again: {again}");
    let commands = place.succeed("recipe show own.toml --commands --out out")?;
    ensure_says(
        &commands,
        &[
            "# preference/model\neurus prefer --model out/",
            "--algorithm kto",
            "--learning-rate",
        ],
    )?;
    for (given, says) in [
        ("recipe show eurus-7b-kot", "eurus-7b-kto"),
        (
            "recipe show eurus-7b-kto --set preference.lerning_rate=1",
            "learning_rate",
        ),
        (
            "recipe show eurus-7b-kto --set sft.epochs=many",
            "sft.epochs",
        ),
    ] {
        ensure_says(&place.refusal(given)?, &[says])?;
    }
    Ok(())
}
