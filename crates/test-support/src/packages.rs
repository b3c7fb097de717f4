use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python that has `packages`, which are named with their versions and are installed without what they depend on: once,
/// in a virtual environment `name` under the folder of build outputs.
///
/// # Errors
///
/// What failed: no `python3`, or pip cannot get the packages.
pub fn python_with(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let folder = target_folder().join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    // Several test programs may want it at once.
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    let wanted = packages.join(" ");
    if fs::read_to_string(&ready).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-cache-dir",
        ])
        .args(packages))?;
    fs::write(&ready, wanted).map_err(failed)?;
    Ok(python)
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().last().unwrap_or_default();
            Err(format!("{command:?}: {}: {last}", output.status))
        }
    }
}

/// The folder of build outputs, wherever it was told to be: test programs lie in `PROFILE/deps` below it.
pub(crate) fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    program
        .ancestors()
        .nth(3)
        .map_or_else(default, Path::to_owned)
}
