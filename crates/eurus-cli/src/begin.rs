//! The beginning of a run: what is looked at before rows are read, so that nothing is computed in vain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use eurus::data::input;
use eurus::forest::TrainingTree;
use eurus::models::lora::LoraConfig;
use eurus::train::plan::{Costs, Objective};
use eurus::train::{Ranks, RunIdentity, Snapshots};

use crate::interrupt::{self, Phase};
use crate::job::Job;
use crate::judging::Judging;
use crate::model_folder::ModelFolder;
use crate::options::{Files, SnapshotOptions, Steps, Text};
use crate::output::Output;
use crate::record::{self, FileHashes, Record};
use crate::setup::Setup;
use crate::space::{self, Sizes};

/// Files that are hashed while something else is done.
type Hashing = JoinHandle<Result<FileHashes>>;

/// The options of a run that its beginning looks at.
pub struct Given<'a> {
    pub files: &'a Files,
    pub text: &'a Text,
    pub steps: &'a Steps,
    pub adapters: Option<LoraConfig>,
    /// The reference, if it is another model.
    pub reference: Option<&'a ModelFolder>,
    pub judging: &'a Judging,
    pub snapshots: &'a SnapshotOptions,
}

/// A run whose model folder and options have been looked at.
pub struct Beginning<'a> {
    pub setup: Setup,
    given: Given<'a>,
    /// On the first rank alone.
    output: Option<Output>,
    /// On the first rank, until they are asked for.
    hashing: Option<Hashing>,
    data: BTreeMap<String, String>,
    /// With all details, once they are known.
    snapshots: Option<Snapshots>,
}

impl<'a> Beginning<'a> {
    /// Makes a place for the result, on the first rank, and looks at the model folder. The template's clock stands at the time
    /// of the run that is gone on with, or now.
    pub fn of(given: Given<'a>, ranks: &Ranks) -> Result<Self> {
        interrupt::enter(Phase::Preparing);
        let first = ranks.is_first();
        let (files, text) = (given.files, given.text);
        let snapshots = given.snapshots.snapshots(&files.out);
        let create = || Output::create(files, &snapshots.folder);
        let output = ranks.all_ok(first.then(create).transpose())?;
        let mut setup = ranks.all_ok(Setup::open(files, text, given.steps, ranks))?;
        let time = ranks.all_ok(match first && (snapshots.resume || snapshots.extend) {
            true => record::template_time(&snapshots),
            false => Ok(None),
        })?;
        let template = setup.tokenizer.template();
        let now = template.time();
        if let (Some(_), true) = (time, template.uses_time()) {
            setup.tell("the clock of the chat template stands at the time at which the run began");
        }
        // All ranks read the same clock.
        let time = ranks.of_first(|| Ok(time.unwrap_or(now)))?;
        setup.tokenizer = setup.tokenizer.with_time(time);
        let mut beginning = Self {
            setup,
            hashing: None,
            data: BTreeMap::new(),
            snapshots: None,
            output,
            given,
        };
        if let Some(output) = &mut beginning.output {
            let replaces = text.chat_template.is_some() || files.found.adapter.is_some();
            let tokenizer = &beginning.setup.tokenizer;
            output.remember_tokenizer(tokenizer.files(), replaces);
            output.stop_at(tokenizer.eos_id());
            let model = ModelFolder {
                folder: files.model.clone(),
                adapter: files.found.adapter.clone(),
            };
            let reference = beginning.given.reference.cloned();
            let rows = beginning.rows()?;
            let hash = move || FileHashes::of(&model, reference.as_ref(), &rows);
            beginning.hashing = Some(std::thread::spawn(hash));
        }
        Ok(beginning)
    }

    /// Files of rows, to train on and to judge on.
    fn rows(&self) -> Result<Vec<PathBuf>> {
        let held_out = self.given.judging.eval.iter().flatten();
        Ok(input::expand(self.given.files.data.iter().chain(held_out))?)
    }

    /// The snapshots that the trainer is given, with all that the run's numbers depend on. The first call may wait for the
    /// model's files to be hashed.
    pub fn snapshots(&mut self) -> Result<Snapshots> {
        if let Some(snapshots) = &self.snapshots {
            return Ok(snapshots.clone());
        }
        let ranks = &self.setup.ranks;
        let hashes = self.hashing.take().map(|hashing| {
            let hashes = hashing.join();
            hashes.unwrap_or_else(|_| Err(anyhow!("the model's files could not be hashed")))
        });
        let hashes = ranks.all_ok(hashes.transpose())?;
        let hashes = hashes.unwrap_or_default();
        self.data = hashes.data;
        let models = ranks.of_first(|| Ok((hashes.model, hashes.reference)))?;
        let snapshots = self.given.snapshots.snapshots(&self.given.files.out);
        let snapshots = record::details(
            snapshots,
            models,
            &self.setup.config,
            &self.setup.tokenizer,
            self.given.adapters.as_ref(),
        );
        Ok(self.snapshots.insert(snapshots).clone())
    }

    /// Refuses a run, before its rows are read, whose snapshots are in the way or are those of another one. `identity` is that
    /// of a trainer with such snapshots.
    pub fn check(
        &mut self,
        identity: impl FnOnce(Snapshots) -> eurus::train::Result<RunIdentity>,
    ) -> Result<()> {
        let options = self.given.snapshots;
        // A run that begins has no use for details yet, and need not wait for them.
        let snapshots = match options.resume || options.extend {
            true => self.snapshots()?,
            false => options.snapshots(&self.given.files.out),
        };
        let run = identity(snapshots.clone())?;
        let ranks = &self.setup.ranks;
        let checked = ranks.is_first().then(|| snapshots.check_identity(&run));
        let found = ranks
            .all_ok(checked.transpose().map_err(anyhow::Error::from))?
            .flatten();
        if let Some(step) = found {
            interrupt::state().saved = Some((step, snapshots.folder.clone()));
        }
        Ok(())
    }

    /// As [`check`](Self::check), with the examples and every byte of the snapshot: before anything that takes long.
    pub fn check_whole(&self, snapshots: &Snapshots, run: &RunIdentity) -> Result<()> {
        let ranks = &self.setup.ranks;
        // Damage is told when the run goes on.
        let checked = ranks.is_first().then(|| snapshots.check(run, &mut |_| {}));
        ranks.all_ok(checked.transpose().map_err(anyhow::Error::from))?;
        Ok(())
    }

    /// Refuses a run whose files have no room.
    pub fn check_space(&self, trees: &[TrainingTree], objective: Objective) -> Result<()> {
        let (setup, given) = (&self.setup, &self.given);
        let checked = self.output.as_ref().map(|output| {
            let costs = Costs::new(
                &setup.config,
                &setup.settings,
                given.adapters.as_ref(),
                objective,
            );
            let snapshots = given.snapshots.snapshots(&given.files.out);
            // With --forests-per-step a step has one tree at least.
            let mut most = setup.settings.clone();
            if most.forests_per_step.is_some() {
                most.trees_per_step = 1;
            }
            let steps = most.steps(trees.len());
            let of_steps = |every: usize| steps.div_ceil(every);
            let judging = &given.judging;
            let bests = match judging.keep_best {
                true => of_steps(judging.eval_every as usize),
                false => 0,
            };
            let saves = snapshots
                .every_steps
                .map_or(0, of_steps)
                .saturating_add(bests);
            space::check(
                &given.files.out,
                &snapshots,
                Sizes::of(&costs, output.weight_type()),
                saves,
                judging.keep_best,
            )
        });
        let warning = setup.ranks.all_ok(checked.transpose())?.flatten();
        if let Some(warning) = warning {
            setup.tell(&warning);
        }
        Ok(())
    }

    /// The run itself, which begins now.
    pub fn job<'b>(
        &mut self,
        title: &'b str,
        snapshots: &'b Snapshots,
        identity: &RunIdentity,
    ) -> Job<'b> {
        Job {
            output: self.output.take(),
            snapshots,
            record: Record::new(&self.given.files.model, identity, &self.data),
            title,
            phase: Phase::Training,
        }
    }
}
