//! `eurus completions` and `eurus man`: the program in the shell that it is used in.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

pub const COMPLETIONS: &str = "\
Examples:
  eurus completions bash > ~/.local/share/bash-completion/completions/eurus
  eurus completions zsh > ~/.zfunc/_eurus
  eurus completions fish > ~/.config/fish/completions/eurus.fish";

pub const MAN: &str = "\
Examples:
  eurus man --out ~/.local/share/man/man1
  man eurus-prefer";

/// `eurus completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// `eurus man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Folder for the pages, one for every command
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Completions {
    pub fn run(&self, mut program: Command) -> Result<()> {
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        crate::job::print(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}

impl Man {
    pub fn run(&self, program: Command) -> Result<()> {
        let folder = self.out.display();
        std::fs::create_dir_all(&self.out)
            .and_then(|()| clap_mangen::generate_to(program, &self.out))
            .with_context(|| format!("cannot write pages to {folder}"))
    }
}
