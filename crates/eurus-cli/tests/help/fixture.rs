//! A folder with all that the examples name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A folder that examples are run in copies of.
pub struct Fixture {
    folder: TempDir,
}

/// Commands that make files of the rows that the program makes to practice with; `P` is that folder.
const MADE: &str = "\
recipe practice --problems 24 --held-out 6 --hidden-size 32 --heads 2 --vocabulary 400 --context 1024 --out P
data convert P/data/ultrainteract-pair/rows.jsonl --to pair --out pairs.parquet
data convert P/data/ultrainteract-pair/rows.jsonl --to tree --out trees.jsonl
data convert P/data/ultrainteract-pair/rows.jsonl --to tree --out shards/a.jsonl.zst
data convert P/data/ultrainteract-pair/rows.jsonl --to pair --out shards/a.parquet
data convert P/data/ultrainteract-pair/rows.jsonl --to pair --out pairs/a.jsonl.gz
data convert P/data/ultrainteract-pair/rows.jsonl --to pair --out UltraInteract_pair.parquet
data convert P/data/ultrainteract-sft/rows.jsonl --to sft --out sft.parquet
data convert P/data/openorca/rows.jsonl --to trl-messages --out orca.parquet
data pairs trees.jsonl --kind unpaired --out judged.jsonl
generate --model P/model --data P/data/ultrainteract-sft/rows.jsonl --limit 2 --samples 2 --max-tokens 8 --out answers.jsonl
eval run --task svamp --data P/benchmarks/SVAMP.json --setting cot --limit 2 --model P/model --out evals/kto-svamp
eval run --task svamp --data P/benchmarks/SVAMP.json --setting cot --limit 2 --model P/model --out evals/sft-svamp
score --policy P/model --reference P/model --data trees.jsonl --out dpo.jsonl
eval rm pairs --data P/benchmarks/pairs.jsonl --responses responses.jsonl
data mix --to trl-preference-chat --source ultrafeedback=P/data/ultrafeedback/rows.jsonl --source ultrasafety=P/data/ultrasafety/rows.jsonl --out mix.jsonl
prefer --model P/model --data P/data/ultrainteract-pair/rows.jsonl --algorithm dpo --max-steps 2 --out trained/dpo
reward --model P/model --data P/data/ultrainteract-pair/rows.jsonl --max-steps 2 --out trained/rm";

/// Files under other names.
const COPIES: &str = "\
P/model SmolLM2-135M-Instruct
P/model runs/sft
P/model runs/sft-epoch-3
P/data/ultrainteract-sft/rows.jsonl sft.jsonl
P/data/ultrainteract-sft/rows.jsonl problems.jsonl
P/data/ultrainteract-sft/rows.jsonl code.jsonl
P/data/ultrainteract-pair/rows.jsonl pairs.jsonl
P/data/ultrainteract-pair/rows.jsonl data.jsonl
P/benchmarks/pairs.jsonl held-out.jsonl
P/data/ultrafeedback/rows.jsonl ultrafeedback.jsonl
P/data/sharegpt/rows.jsonl sharegpt.json
P/data/ultrachat/rows.jsonl uc/a.jsonl
P/data/sharegpt/rows.jsonl a.jsonl
P/data/openorca/rows.jsonl b.jsonl
P/benchmarks/test.jsonl math-test.jsonl
P/benchmarks/test.jsonl train.jsonl
P/benchmarks/test.jsonl tests/a.jsonl
P/benchmarks/SVAMP.json SVAMP.json
P/benchmarks/HumanEval.jsonl HumanEval.jsonl.gz
P/benchmarks/rewardbench.jsonl rewardbench.jsonl
P/benchmarks/mtbench.jsonl question.jsonl
trained/dpo runs/dpo
trained/dpo runs/kto
trained/dpo runs/nca
trained/rm runs/rm
trained/dpo/metrics.jsonl dpo-metrics.jsonl
dpo.jsonl kto.jsonl
dpo.jsonl nca.jsonl
dpo.jsonl rm.jsonl
dpo.jsonl scores.jsonl
P practice";

impl Fixture {
    pub fn new() -> Result<Self> {
        let fixture = Self {
            folder: tempfile::tempdir()?,
        };
        for folder in ["shards", "pairs"] {
            fs::create_dir(fixture.folder.path().join(folder))?;
        }
        for line in MADE.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let output = Command::new(env!("CARGO_BIN_EXE_eurus"))
                .args(&words)
                .current_dir(fixture.folder.path())
                .output()?;
            let message = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{line}: {message}");
        }
        for line in COPIES.lines() {
            let (from, to) = line.split_once(' ').context("two names")?;
            copy(
                &fixture.folder.path().join(from),
                &fixture.folder.path().join(to),
            )?;
        }
        let recipe = "name = \"mine\"\nextends = \"small-eurus\"\n";
        fs::write(fixture.folder.path().join("my-recipe.toml"), recipe)?;
        let quiz = "question,final\nIs ice cold?,yes\nIs fire cold?,no\n";
        fs::write(fixture.folder.path().join("quiz.csv"), quiz)?;
        Ok(fixture)
    }

    /// Where it is, to add to it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A copy for one example.
    pub fn copied(&self) -> Result<TempDir> {
        let place = tempfile::tempdir()?;
        copy(self.folder.path(), place.path())?;
        Ok(place)
    }
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().context("a folder")?)?;
        fs::copy(from, to).with_context(|| from.display().to_string())?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    let entries: Vec<PathBuf> = fs::read_dir(from)?
        .map(|it| Ok(it?.path()))
        .collect::<Result<_>>()?;
    for entry in entries {
        copy(&entry, &to.join(entry.file_name().context("a name")?))?;
    }
    Ok(())
}
