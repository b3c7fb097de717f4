//! What the build script of CubeCL asks of `tracel-llvm-bundler`, with the LLVM that rustc brings.

/// What the linker is told.
pub mod llvm_sys {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs, io};

    /// Links rustc's LLVM, and the functions that every other LLVM has in its headers: they start the part for this processor.
    pub fn link() -> io::Result<()> {
        let folder = sysroot()?.join("lib");
        let name = library(&folder)?;
        let source = out_dir()?.join("rustc_llvm.c");
        fs::write(&source, initializers(processor()?))?;
        cc::Build::new()
            .file(&source)
            .warnings(false)
            .compile("rustc_llvm");
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=dylib={name}");
        println!("cargo:rustc-link-lib=dylib=stdc++");
        Ok(())
    }

    fn out_dir() -> io::Result<PathBuf> {
        let folder = env::var_os("OUT_DIR");
        let folder = folder
            .ok_or_else(|| io::Error::other("OUT_DIR is not set: this is for build scripts"))?;
        Ok(PathBuf::from(folder))
    }

    /// Where rustc and its libraries are.
    fn sysroot() -> io::Result<PathBuf> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).args(["--print", "sysroot"]).output()?;
        Ok(PathBuf::from(
            String::from_utf8_lossy(&output.stdout).trim(),
        ))
    }

    /// `LLVM-...` of a file `libLLVM-....so`.
    fn library(folder: &Path) -> io::Result<String> {
        for entry in fs::read_dir(folder)? {
            let file = entry?.file_name();
            let file = file.to_string_lossy();
            let name = file
                .strip_prefix("lib")
                .and_then(|it| it.strip_suffix(".so"));
            if let Some(name) = name.filter(|name| name.starts_with("LLVM-")) {
                return Ok(name.to_owned());
            }
        }
        let message = format!(
            "no libLLVM-*.so in {}: this rustc has its LLVM inside",
            folder.display()
        );
        Err(io::Error::other(message))
    }

    /// What LLVM calls the processor that is built for.
    fn processor() -> io::Result<&'static str> {
        match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
            Ok("x86_64") => Ok("X86"),
            Ok("aarch64") => Ok("AArch64"),
            other => Err(io::Error::other(format!(
                "{other:?}: x86_64 and aarch64 alone"
            ))),
        }
    }

    /// The functions of `llvm-c/Target.h` that are defined there and not in the library.
    fn initializers(processor: &str) -> String {
        let native = [
            (
                "LLVM_InitializeNativeTarget",
                &["TargetInfo", "Target", "TargetMC"][..],
            ),
            ("LLVM_InitializeNativeAsmPrinter", &["AsmPrinter"]),
            ("LLVM_InitializeNativeAsmParser", &["AsmParser"]),
            ("LLVM_InitializeNativeDisassembler", &["Disassembler"]),
            // Of all processors there are, this one.
            ("LLVM_InitializeAllTargetInfos", &["TargetInfo"]),
            ("LLVM_InitializeAllTargets", &["Target"]),
            ("LLVM_InitializeAllTargetMCs", &["TargetMC"]),
            ("LLVM_InitializeAllAsmPrinters", &["AsmPrinter"]),
            ("LLVM_InitializeAllAsmParsers", &["AsmParser"]),
            ("LLVM_InitializeAllDisassemblers", &["Disassembler"]),
        ];
        let mut source = String::new();
        for (function, parts) in native {
            let calls = parts
                .iter()
                .map(|part| format!("LLVMInitialize{processor}{part}"));
            let calls: Vec<String> = calls.collect();
            for call in &calls {
                source += &format!("void {call}(void);\n");
            }
            source += &format!(
                "int {function}(void) {{ {}(); return 0; }}\n",
                calls.join("(); ")
            );
        }
        source
    }
}
