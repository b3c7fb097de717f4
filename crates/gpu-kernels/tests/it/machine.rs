//! A machine without a GPU for a scene to run on: a driver that computes nothing, with or without a library like it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What a scene finds on its machine.
pub struct Machine {
    pub folder: tempfile::TempDir,
    environment: Vec<(&'static str, PathBuf)>,
}

/// What a scene has asked of it.
pub struct Account {
    driver: Value,
    pub products: Vec<Value>,
    pub printed: String,
}

impl Account {
    pub fn count(&self, what: &str) -> u64 {
        self.driver[what].as_u64().unwrap()
    }

    #[track_caller]
    pub fn assert_products(&self, count: u64, added: u64) {
        assert_eq!(self.count("products"), count, "{}", self.printed);
        assert_eq!(self.count("products_added"), added);
        assert_eq!(self.count("products_refused"), 0, "{}", self.printed);
        assert_eq!(self.count("products_unordered"), 0);
    }
}

impl Machine {
    /// A machine with a driver, compiled with these definitions. None, loudly, where there is no compiler of C or no source.
    pub fn new(definitions: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        compile(
            "null_cuda.c",
            &folder.path().join("libcuda.so.1"),
            definitions,
        )?;
        let cache = folder.path().join("cache");
        let environment = vec![
            ("EURUS_PRODUCTS", "cublaslt".into()),
            ("XDG_CACHE_HOME", cache),
        ];
        Some(Self {
            folder,
            environment,
        })
    }

    pub fn with_cublaslt(self) -> Option<Self> {
        compile(
            "null_cublaslt.c",
            &self.folder.path().join("libcublasLt.so.13"),
            &[],
        )?;
        Some(self)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<PathBuf>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// NVIDIA's compiler, for a scene with kernels; none, loudly, where it is not.
    pub fn with_compiler(mut self) -> Option<Self> {
        let compiler = workspace().join("target/nvrtc/nvidia/cu13");
        if !compiler.join("lib").is_dir() {
            eprintln!(
                "skipped: no {}, which tools/null-cuda/measure.py fetches",
                compiler.display()
            );
            return None;
        }
        self.environment.push(("CUDA_PATH", compiler));
        Some(self)
    }

    pub fn run(&self, scene: &str) -> Account {
        let file = |name: &str| self.folder.path().join(name);
        let mut libraries = self.folder.path().as_os_str().to_owned();
        if let Some((_, compiler)) = self
            .environment
            .iter()
            .find(|(name, _)| *name == "CUDA_PATH")
        {
            libraries.push(":");
            libraries.push(compiler.join("lib"));
        }
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cublas::scene", "--ignored", "--nocapture"])
            .env("SCENE", scene)
            .env("LD_LIBRARY_PATH", libraries)
            .env("NULL_CUDA_ACCOUNT", file("account.json"))
            .env("NULL_CUBLASLT_CALLS", file("calls.jsonl"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let printed = [run.stdout, run.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
        let printed = printed.concat();
        assert!(run.status.success(), "{printed}");
        let calls = std::fs::read_to_string(file("calls.jsonl")).unwrap_or_default();
        let account = std::fs::read_to_string(file("account.json")).unwrap();
        Account {
            driver: serde_json::from_str(&account).unwrap(),
            products: calls
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            printed,
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn compile(source: &str, library: &Path, definitions: &[&str]) -> Option<()> {
    let source = workspace().join("tools/null-cuda").join(source);
    if !source.exists() {
        eprintln!("skipped: no {}", source.display());
        return None;
    }
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let arguments = ["-shared", "-fPIC", "-O2", "-o"].map(Path::new);
    let run = Command::new(compiler)
        .args(arguments)
        .args([library, &source])
        .args(definitions)
        .output();
    match run {
        Ok(run) => assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        ),
        Err(error) => {
            eprintln!("skipped: no compiler of C: {error}");
            return None;
        }
    }
    Some(())
}
