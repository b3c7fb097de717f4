//! `eurus sft`: imitation of correct responses.

use anyhow::Result;
use clap::Args;
use eurus::forest::LabelKind;
use eurus::models::Decoder;
use eurus::train::plan::Objective;
use eurus::train::{Judgement, Ranks, SftTrainer};

use crate::adapters::Adapters;
use crate::begin::{Beginning, Given};
use crate::input::Wanted;
use crate::judging::{Judging, Samples};
use crate::options::{Files, SnapshotOptions, Steps, Text};
use crate::{input, interrupt, job};

pub const EXAMPLES: &str = r#"Rows of any format that `eurus data` reads, with answers to imitate:
  {"instruction": "...", "response": "..."}                                    UltraInteract_sft
  {"messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "..."},
                {"role": "assistant", "content": "..."}, ...]}                 every answer is imitated
  {"prompt": "...", "completion": "..."}

Examples:
  One pass at the paper's learning rate:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft

  Three passes, 64 rows a step, again with the same seed for the same result:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft --overwrite \
      --epochs 3 --trees-per-step 64 --seed 1

  Judged on other rows every 50 steps, with 4 answers to read; the best weights are written:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft \
      --eval held-out.jsonl --eval-every 50 --eval-samples 4 --keep-best

  Low-rank adapters of the attention alone, with little memory:
    eurus sft --model SmolLM2-135M-Instruct --data sft.jsonl --out runs/sft-lora \
      --lora-rank 16 --lora-targets q_proj,k_proj,v_proj,o_proj --learning-rate 2e-4"#;

#[derive(Debug, Args)]
pub struct Sft {
    #[command(flatten)]
    pub files: Files,

    #[command(flatten)]
    pub text: Text,

    /// Imitate the last answer of a conversation alone, not every one
    #[arg(long, help_heading = "Text")]
    pub last_turn_only: bool,

    #[command(flatten)]
    pub adapters: Adapters,

    #[command(flatten)]
    pub steps: Steps,

    #[command(flatten)]
    pub judging: Judging,

    #[command(flatten)]
    pub samples: Samples,

    #[command(flatten)]
    pub snapshots: SnapshotOptions,
}

impl Sft {
    /// The part of rows to learn from.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            last_turn_only: self.last_turn_only,
            ..Wanted::new(LabelKind::Imitated)
        }
    }

    pub fn run(&self, ranks: &Ranks) -> Result<()> {
        let mut run = Beginning::of(
            Given {
                files: &self.files,
                text: &self.text,
                steps: &self.steps,
                adapters: self.adapters.config(),
                reference: None,
                judging: &self.judging,
                snapshots: &self.snapshots,
            },
            ranks,
        )?;
        let settings = run.setup.settings.clone();
        let trainer_with =
            |snapshots| SftTrainer::new(settings.clone())?.with_snapshots(Some(snapshots));
        run.check(|snapshots| Ok(trainer_with(snapshots)?.identity()))?;
        let setup = &run.setup;
        let read = |files: &[String]| input::rows(files, &self.text.rows, &self.wanted(), setup);
        let rows = read(&self.files.data)?;
        let held_out = self.judging.eval.as_deref().map(read).transpose()?;
        run.check_space(&rows.trees, Objective::LanguageModel)?;
        let snapshots = run.snapshots()?;

        let setup = &run.setup;
        let model = setup.put_on(setup.decoder()?, &self.adapters)?;
        let trainer = trainer_with(snapshots.clone())?
            .with_ranks(ranks.clone())
            .with_stop_request(interrupt::stop_request());
        let identity = trainer.identity().of_examples(&rows.trees);
        let job = run.job("sft", &snapshots, &identity);
        let setup = &run.setup;
        let held_out_trees = held_out.iter().flat_map(|rows| &rows.trees);
        let questions = self.samples.questions(setup, held_out_trees);
        let mut judge = |model: &Decoder| {
            let trees = held_out.as_ref().map_or(&[][..], |rows| &rows.trees);
            let loss = trainer.evaluate(model, trees)?;
            questions.ask(model, Judgement::by_loss("loss", loss))
        };
        let mut evaluation = self.judging.evaluation(&mut judge);
        job::run(
            job,
            |on_event| trainer.train_evaluated(model, &rows.trees, evaluation.as_mut(), on_event),
            |checkpoint, model| {
                self.adapters
                    .write(checkpoint, model, &self.files, |model| {
                        checkpoint.write_decoder(model, &setup.config)
                    })
            },
        )?;
        Ok(())
    }
}
