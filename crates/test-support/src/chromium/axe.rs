//! What axe-core, a checker of accessibility, finds on a page.

use std::fs::{self, File};
use std::process::Command;

use super::Page;
use crate::packages::{run, target_folder};

/// The package of the npm registry.
const PACKAGE: &str = "axe-core@4.14.1";

impl Page {
    /// The serious and critical faults that axe-core finds, one a line with its rule and the elements.
    ///
    /// The package is fetched once with npm, into the folder of build outputs.
    ///
    /// # Errors
    ///
    /// npm cannot get the package, or it fails on the page.
    pub fn accessibility_faults(&mut self) -> Result<Vec<String>, String> {
        let script = axe_script()?;
        self.evaluate(&format!("{script}; 0"))?;
        let found = self.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(it => it.violations\
             .filter(it => it.impact === 'serious' || it.impact === 'critical')\
             .map(it => `${it.id}: ${it.help}: ${it.nodes.slice(0, 5).map(it => it.html.slice(0, 160) + ' ' + \
             (it.any[0]?.message ?? it.failureSummary)).join(' | ')}`))",
        )?;
        let faults = found.as_array().into_iter().flatten();
        Ok(faults
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect())
    }
}

fn axe_script() -> Result<String, String> {
    let folder = target_folder().join("test-axe");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    // Several test programs may want it at once.
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let (script, ready) = (
        folder.join("node_modules/axe-core/axe.min.js"),
        folder.join("ready"),
    );
    if !fs::read_to_string(&ready).is_ok_and(|have| have == PACKAGE) {
        run(Command::new("npm")
            .args([
                "install",
                "--silent",
                "--no-save",
                "--ignore-scripts",
                "--prefix",
            ])
            .arg(&folder)
            .arg(PACKAGE))?;
        fs::write(&ready, PACKAGE).map_err(failed)?;
    }
    fs::read_to_string(&script).map_err(|error| format!("{}: {error}", script.display()))
}
