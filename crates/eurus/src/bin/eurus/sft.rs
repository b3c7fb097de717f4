//! `eurus sft`: imitation of correct responses.

use anyhow::Result;
use clap::Args;
use eurus::train::SftTrainer;

use crate::adapters::Adapters;
use crate::options::{Files, SnapshotOptions, Steps, Text};
use crate::{input, job, setup};

pub const EXAMPLES: &str = r#"Rows (UltraInteract_sft), one JSON object per line:
  {"id": "p1_1_1", "parent_id": "p1", "task": "Math_CoT", "dataset": "MATH",
   "instruction": "...", "response": "..."}

Examples:
  One pass at the paper's learning rate:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft

  Three passes, 64 rows a step, again with the same seed for the same result:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft --overwrite \
      --epochs 3 --trees-per-step 64 --seed 1

  Low-rank adapters of the attention alone, with little memory:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft-lora \
      --lora-rank 16 --lora-targets q_proj,k_proj,v_proj,o_proj --learning-rate 2e-4"#;

#[derive(Debug, Args)]
pub struct Sft {
    #[command(flatten)]
    pub files: Files,

    #[command(flatten)]
    pub text: Text,

    #[command(flatten)]
    pub adapters: Adapters,

    #[command(flatten)]
    pub steps: Steps,

    #[command(flatten)]
    pub snapshots: SnapshotOptions,
}

impl Sft {
    pub fn run(&self) -> Result<()> {
        let snapshots = self.snapshots.snapshots(&self.files.out);
        let (output, setup) = setup::begin(&self.files, &self.text, &self.steps)?;
        let rows = input::sft(&self.files.data, &setup)?;
        eprintln!("{}", rows.describe());

        let model = self
            .adapters
            .put_on(setup.decoder()?, setup.settings.seed)?;
        let trainer = SftTrainer::new(setup.settings.clone())?.with_snapshots(snapshots.clone())?;
        job::run(
            output,
            snapshots.as_ref(),
            "sft",
            |on_event| trainer.train(model, &rows.trees, on_event),
            |checkpoint, model| {
                self.adapters
                    .write(checkpoint, model, &self.files.model, |model| {
                        checkpoint.write_decoder(model, &setup.config)
                    })
            },
        )?;
        Ok(())
    }
}
