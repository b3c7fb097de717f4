//! The steps of a recipe, as commands.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Recipe;
use crate::file::Mixture;
use crate::options::DeviceName;
use crate::practice;

/// Where a recipe finds its data and leaves what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Folder that the files of mixtures are in.
    pub data: PathBuf,
    /// Folder that the data of benchmarks are in.
    pub benchmarks: PathBuf,
    /// Folder for all that the recipe makes.
    pub runs: PathBuf,
}

/// The stages of a recipe, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Data and a model to practice with.
    Practice,
    /// Imitation.
    Sft,
    /// Preference learning.
    Preference,
    /// The reward model.
    Reward,
    /// Benchmarks.
    Eval,
    /// What came of it, on a page.
    Report,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Practice => "practice",
            Stage::Sft => "sft",
            Stage::Preference => "preference",
            Stage::Reward => "reward",
            Stage::Eval => "eval",
            Stage::Report => "report",
        })
    }
}

/// One piece of work of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage that it belongs to.
    pub stage: Stage,
    /// What it is called: the stage, and a name that is another for each of the stage's steps: `sft/data`.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// What it depends on beside its words.
    pub inputs: Vec<Input>,
    /// The file or folder that it makes.
    pub output: PathBuf,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A command of `eurus`, which writes the output.
    Command(Vec<String>),
    /// A command of `eurus` that prints the output.
    Printed(Vec<String>),
}

impl Work {
    /// The words after `eurus`.
    pub fn words(&self) -> &[String] {
        match self {
            Work::Command(words) | Work::Printed(words) => words,
        }
    }

    /// Whether a model is trained.
    pub fn is_training(&self) -> bool {
        let first = self.words().first().map(String::as_str);
        matches!(first, Some("sft" | "prefer" | "reward"))
    }

    /// Whether a benchmark is answered: its folder grows answer by answer, and all else is there whole or not at all.
    pub fn is_benchmark(&self) -> bool {
        self.words()
            .starts_with(&["eval".to_owned(), "run".to_owned()])
    }
}

/// What a step depends on. A runner need not repeat a step whose words and inputs are what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Files: one, all in a folder, or those that a pattern finds.
    Files(PathBuf),
    /// A model: a folder, or a name of the hub.
    Model(String),
    /// What an earlier step made, by its name.
    Step(String),
}

/// A model that a stage starts from or looks at.
#[derive(Clone)]
struct ModelAt {
    words: String,
    input: Input,
}

impl Recipe {
    /// All steps, in an order in which each finds what it needs. Nothing is read or run.
    ///
    /// ```
    /// use eurus_recipes::{Places, Recipe};
    ///
    /// let places = Places {
    ///     data: "data".into(),
    ///     benchmarks: "benchmarks".into(),
    ///     runs: "runs".into(),
    /// };
    /// let steps = Recipe::built_in("eurus-7b-kto")?.steps(&places);
    /// let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).take(4).collect();
    /// assert_eq!(names, ["sft/data", "sft/model", "preference/data", "preference/model"]);
    /// assert_eq!(steps[1].work.words()[..3], ["sft", "--model", "mistralai/Mistral-7B-v0.1"]);
    /// # Ok::<(), eurus_recipes::Error>(())
    /// ```
    pub fn steps(&self, places: &Places) -> Vec<Step> {
        let (file, data) = (self.file(), &self.file().data);
        let mut plan = Plan {
            places: places.clone(),
            practice: None,
            steps: Vec::new(),
        };
        let base = file.model.as_ref().map_or("", |model| model.base.as_str());
        let mut policy = ModelAt {
            words: base.to_owned(),
            input: Input::Model(base.to_owned()),
        };
        if let Some(options) = &file.practice {
            let model = plan.practice(options.words());
            if base == PRACTICE {
                policy = model;
            }
        }
        if let (Some(options), Some(mixture)) = (&file.sft, &data.sft) {
            policy = plan.training(Stage::Sft, "sft", &policy, mixture, options.words());
        }
        let start = policy.clone();
        if let (Some(options), Some(mixture)) = (&file.preference, &data.preference) {
            policy = plan.training(
                Stage::Preference,
                "prefer",
                &start,
                mixture,
                options.words(),
            );
        }
        let mut reward = None;
        if let (Some(options), Some(mixture)) = (&file.reward, &data.reward) {
            let words = options.words();
            reward = Some(plan.training(Stage::Reward, "reward", &start, mixture, words));
        }
        if let Some(eval) = &file.eval {
            for task in &eval.tasks {
                plan.task(task, &policy, eval.words());
            }
            for (bench, file) in &eval.reward_benches {
                if let Some(reward) = &reward {
                    plan.reward_bench(bench, file, reward, eval.device);
                }
            }
        }
        plan.report();
        plan.steps
    }
}

/// What each stage of training makes: its mixture and its model.
pub(crate) const MADE: [&str; 2] = ["data", "model"];

/// The name of a task's results: that of its file, for a task file of one's own.
pub(crate) fn task_name(task: &str) -> String {
    let stem = Path::new(task).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The name of the results of a benchmark of reward models. A task may have the same name as one: `mtbench`.
pub(crate) fn bench_name(bench: &str) -> String {
    format!("rm-{bench}")
}

/// The base model that `[practice]` makes.
pub(crate) const PRACTICE: &str = "practice";

struct Plan {
    places: Places,
    /// The step that makes what is practiced with, if there is one.
    practice: Option<Input>,
    steps: Vec<Step>,
}

fn path_word(path: &Path) -> String {
    path.display().to_string()
}

impl Plan {
    /// Makes what is practiced with: then data and benchmarks lie there. The model that comes of it.
    fn practice(&mut self, options: Vec<String>) -> ModelAt {
        let made = self.add(Stage::Practice, "files", "files", Vec::new(), |out| {
            let mut words = ["recipe", "practice", "--out"].map(str::to_owned).to_vec();
            words.push(out);
            words.extend(options);
            Work::Command(words)
        });
        let folder = PathBuf::from(&made.words);
        self.places.data = folder.join(practice::DATA);
        self.places.benchmarks = folder.join(practice::BENCHMARKS);
        self.practice = Some(made.input.clone());
        ModelAt {
            words: path_word(&folder.join(practice::MODEL)),
            input: made.input,
        }
    }

    /// Files that are there, or that the practice makes.
    fn files(&self, path: &Path) -> Input {
        let made = self.practice.clone();
        made.unwrap_or_else(|| Input::Files(path.to_owned()))
    }

    /// Adds a step that makes something in the folder of its stage.
    fn add(
        &mut self,
        stage: Stage,
        name: &str,
        file: &str,
        inputs: Vec<Input>,
        work: impl FnOnce(String) -> Work,
    ) -> ModelAt {
        let output = self.places.runs.join(stage.to_string()).join(file);
        let name = format!("{stage}/{name}");
        let made = ModelAt {
            words: path_word(&output),
            input: Input::Step(name.clone()),
        };
        self.steps.push(Step {
            stage,
            name,
            work: work(path_word(&output)),
            inputs,
            output,
        });
        made
    }

    /// The mixture of a stage, and its training.
    fn training(
        &mut self,
        stage: Stage,
        command: &str,
        start: &ModelAt,
        mixture: &Mixture,
        options: Vec<String>,
    ) -> ModelAt {
        let data = self.mixture(stage, mixture);
        let inputs = vec![start.input.clone(), data.input];
        self.add(stage, MADE[1], "model", inputs, |out| {
            let mut words: Vec<String> = vec![command.to_owned()];
            for (option, value) in [
                ("--model", &start.words),
                ("--data", &data.words),
                ("--out", &out),
            ] {
                words.extend([option.to_owned(), value.clone()]);
            }
            words.extend(options);
            Work::Command(words)
        })
    }

    fn mixture(&mut self, stage: Stage, mixture: &Mixture) -> ModelAt {
        let mut words: Vec<String> = vec!["data".to_owned(), "mix".to_owned()];
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        option("--preset", mixture.preset.clone());
        option("--to", mixture.to.clone());
        option("--seed", mixture.seed.map(|seed| seed.to_string()));
        option("--score-by", mixture.score_by.clone());
        if mixture.allow_repeats == Some(true) {
            words.push("--allow-repeats".to_owned());
        }
        let mut inputs = Vec::new();
        for (name, source) in &mixture.sources {
            let made = match (&source.files, &source.augments) {
                (Some(files), _) => {
                    let files = self.places.data.join(files);
                    ModelAt {
                        words: path_word(&files),
                        input: self.files(&files),
                    }
                }
                (None, of) => self.augmented(stage, name, mixture, of.as_deref().unwrap_or(name)),
            };
            inputs.push(made.input);
            words.extend(["--source".to_owned(), format!("{name}={}", made.words)]);
            if let Some(take) = &source.take {
                words.extend(["--take".to_owned(), format!("{name}={take}")]);
            }
            if let Some(most) = source.per_instruction {
                words.extend(["--per-instruction".to_owned(), format!("{name}={most}")]);
            }
        }
        self.add(stage, MADE[0], "data.jsonl", inputs, |out| {
            words.extend(["--out".to_owned(), out]);
            Work::Command(words)
        })
    }

    /// Pairs made of the trees of another source.
    fn augmented(&mut self, stage: Stage, name: &str, mixture: &Mixture, of: &str) -> ModelAt {
        let files = mixture.sources.get(of).and_then(|of| of.files.as_deref());
        let files = self.places.data.join(files.unwrap_or_default());
        let mut words: Vec<String> =
            vec!["data".to_owned(), "augment".to_owned(), path_word(&files)];
        if let Some(seed) = mixture.seed {
            words.extend(["--seed".to_owned(), seed.to_string()]);
        }
        let file = format!("{name}.jsonl");
        let inputs = vec![self.files(&files)];
        self.add(stage, name, &file, inputs, |out| {
            words.extend(["--out".to_owned(), out]);
            Work::Command(words)
        })
    }

    fn task(&mut self, task: &str, policy: &ModelAt, options: Vec<String>) {
        // The data of a task file of one's own are beside it.
        let own = Path::new(task).extension().is_some_and(|it| it == "toml");
        let name = task_name(task);
        let mut inputs = vec![policy.input.clone()];
        let mut words: Vec<String> = ["eval", "run", "--task", task].map(str::to_owned).into();
        if own {
            inputs.push(Input::Files(task.into()));
        } else {
            let data = self.places.benchmarks.clone();
            inputs.push(self.files(&data));
            words.extend(["--data".to_owned(), path_word(&data)]);
        }
        words.extend(["--model".to_owned(), policy.words.clone()]);
        self.add(Stage::Eval, &name, &name, inputs, |out| {
            words.extend(["--out".to_owned(), out]);
            words.extend(options);
            Work::Command(words)
        });
    }

    fn reward_bench(
        &mut self,
        bench: &str,
        file: &str,
        reward: &ModelAt,
        device: Option<DeviceName>,
    ) {
        let data = self.places.benchmarks.join(file);
        let mut words: Vec<String> = [
            "eval",
            "rm",
            bench,
            "--data",
            &path_word(&data),
            "--model",
            &reward.words,
            "--json",
        ]
        .map(str::to_owned)
        .into();
        if let Some(device) = device {
            words.extend(["--device".to_owned(), device.to_string()]);
        }
        let work = Work::Printed(words);
        let inputs = vec![reward.input.clone(), self.files(&data)];
        let name = bench_name(bench);
        self.add(Stage::Eval, &name, &format!("{name}.json"), inputs, |_| {
            work
        });
    }

    /// The page of what was trained and answered, if anything was.
    fn report(&mut self) {
        let shown = |step: &&Step| step.work.is_training() || step.stage == Stage::Eval;
        let shown = self.steps.iter().filter(shown);
        let shown: Vec<String> = shown.map(|step| path_word(&step.output)).collect();
        if shown.is_empty() {
            return;
        }
        let made = self.steps.iter().map(|step| Input::Step(step.name.clone()));
        let inputs = made.collect();
        self.add(Stage::Report, "page", "report.html", inputs, |out| {
            let mut words = vec!["report".to_owned()];
            words.extend(shown);
            words.extend(["--out".to_owned(), out]);
            Work::Command(words)
        });
    }
}
