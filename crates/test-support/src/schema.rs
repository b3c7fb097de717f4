//! Schemas that stand in the documentation.

use std::fs;
use std::path::Path;

/// Panics unless the schema of the documentation is that of the code. The latter is written to a file, to be copied.
pub fn assert_published(code: &str, documentation: &str, file: &str, folder: &str) {
    if code == documentation {
        return;
    }
    let path = Path::new(folder).join(file);
    let written = fs::write(&path, code);
    panic!("copy {} to docs/src/schema ({written:?})", path.display());
}
