//! `eurus completions` and `eurus man`.

use anyhow::{Result, ensure};

use crate::common::{Workplace, ensure_says};

#[test]
fn shells_complete_commands_and_every_command_has_a_page() -> Result<()> {
    let place = Workplace::new()?;
    for shell in ["bash", "zsh", "fish"] {
        ensure_says(
            &place.succeed(&format!("completions {shell}"))?,
            &["eurus", "prefer", "algorithm", "kto"],
        )?;
    }
    place.succeed("man --out pages/man1")?;
    let page = std::fs::read_to_string(place.path("pages/man1/eurus-prefer.1"))?;
    ensure_says(&page, &[".TH", "algorithm"])?;
    ensure!(place.path("pages/man1/eurus-eval-run.1").exists());
    std::fs::write(place.path("file"), "")?;
    ensure_says(
        &place.refusal("man --out file")?,
        &["cannot write pages to file"],
    )
}
