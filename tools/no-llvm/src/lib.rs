//! What build scripts of CubeCL ask of `tracel-llvm-bundler`, without an LLVM.

/// Where the headers of LLVM are, for the C++ that CubeCL compiles against them.
pub mod config {
    use std::ffi::OsString;
    use std::io;
    use std::path::{Path, PathBuf};

    /// The folder of the stand-in.
    pub fn llvm_path() -> io::Result<PathBuf> {
        Ok(Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf())
    }

    /// Options of the C++ compiler.
    pub fn get_cxxflags_args(_prefix: Option<&OsString>) -> io::Result<Vec<OsString>> {
        let include = llvm_path()?.join("include");
        let mut option = OsString::from("-I");
        option.push(include);
        Ok(vec!["-std=c++17".into(), option])
    }
}

/// What the linker is told.
pub mod llvm_sys {
    use std::path::PathBuf;
    use std::{env, fs, io};

    const FUNCTIONS: &str = include_str!("../functions.txt");
    const ABSENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>

static void absent(const char *function) {
    fprintf(stderr, "%s was called, and this program is built without LLVM (see tools/no-llvm)\n", function);
    abort();
}
"#;

    /// Compiles and links a function of each name that LLVM would have.
    pub fn link() -> io::Result<()> {
        let out = env::var_os("OUT_DIR")
            .ok_or_else(|| io::Error::other("OUT_DIR is not set: this is for build scripts"))?;
        let source = PathBuf::from(out).join("no_llvm.c");
        let functions: String = FUNCTIONS
            .lines()
            .map(|name| format!("void {name}(void) {{ absent(\"{name}\"); }}\n"))
            .collect();
        fs::write(&source, format!("{ABSENT}\n{functions}"))?;
        cc::Build::new().file(&source).warnings(false).compile("no_llvm");
        println!("cargo:rustc-link-lib=dylib=stdc++");
        Ok(())
    }
}
