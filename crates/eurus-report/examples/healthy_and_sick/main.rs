//! Draws each curve of a report healthy and sick, as SVG files: the pictures of the chapter on reading a report. The numbers are
//! made up, in the sizes that runs of preference learning have. Takes a second.
//!
//! ```console
//! cargo run -p eurus-report --example healthy_and_sick -- docs/src/reading-a-report
//! ```

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

mod curves;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| "healthy-and-sick".into());
    std::fs::create_dir_all(&folder)?;
    for (name, figure) in curves::all() {
        let path = folder.join(format!("{name}.svg"));
        std::fs::write(&path, figure.to_svg()?)?;
        println!("{}: {}", path.display(), figure.caption);
    }
    Ok(())
}
