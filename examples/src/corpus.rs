//! Problems, tokenizer and worked solutions.

use anyhow::{Result, ensure};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{ChatTokenizer, TrainingTree, train_bpe, write_tokenizer_folder};
use ultrainteract::decontaminate::Decontaminator;
use ultrainteract::derive::instruction_hash;
use ultrainteract::formats::SftRow;
use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Verdict};
use ultrainteract_synth::word_problems::{WordProblem, train_and_held_out};
use ultrainteract_synth::{
    Attempt, Critic, CritiqueRequest, Environment, Problem, PythonEnvironment, RuleCritic,
};

use crate::Scale;
use crate::policy;
use crate::run_folder::RunFolder;

/// What a run is made of.
pub struct Corpus {
    /// Problems that the model is fine-tuned on.
    pub worked: usize,
    /// Problems that trees are built for.
    pub tree_problems: Vec<WordProblem>,
    /// Problems that nothing is trained on, to choose settings by.
    pub development: Vec<WordProblem>,
    /// Problems that nothing is trained on and no setting was chosen by.
    pub held_out: Vec<WordProblem>,
    /// Trained on the problems, their solutions and the observations.
    pub tokenizer: ChatTokenizer,
    /// The worked solutions and the corrections, to imitate.
    pub sft: Vec<TrainingTree>,
}

/// Every how many problems one is also shown with a mistake before the solution.
const CORRECTION_EVERY: usize = 4;

/// Draws the problems, trains the tokenizer and works the solutions; both go into the folder.
///
/// # Errors
///
/// When a training problem shares eight words in a row with another set, or the numbers allow for too few problems.
pub fn make(
    seed: u64,
    scale: &Scale,
    environment: &PythonEnvironment,
    folder: &RunFolder,
) -> Result<Corpus> {
    make_with(seed, scale, &[], environment, folder)
}

/// As [`make`]; the tokenizer is trained on other texts too.
///
/// # Errors
///
/// As for [`make`].
pub fn make_with(
    seed: u64,
    scale: &Scale,
    other_texts: &[&str],
    environment: &PythonEnvironment,
    folder: &RunFolder,
) -> Result<Corpus> {
    let (training, mut held_out) = train_and_held_out(
        seed,
        scale.training_problems,
        2 * scale.held_out_problems,
        &scale.word_problems(),
    )?;
    let index = Decontaminator::new(held_out.iter().map(|word| &word.problem.instruction), 8)?;
    let shared = training
        .iter()
        .filter(|word| index.find(&word.problem.instruction).is_some())
        .count();
    ensure!(
        shared == 0,
        "{shared} training problems share eight words in a row with a held-out one"
    );

    let round_length = scale.kinds.round_length();
    // The actor meets problems in the trees that it was not fine-tuned on.
    let solved = &training[..training.len() - scale.tree_problems];
    let worked: Vec<(&WordProblem, &str)> = solved
        .iter()
        .enumerate()
        .map(|(index, word)| worked(index, word, round_length))
        .collect();
    let corrections = corrections(seed, &worked, round_length, environment)?;
    let observations: Vec<String> = corrections
        .iter()
        .flat_map(|tree| tree.nodes())
        .filter_map(|(_, node)| node.observation().map(Observation::render))
        .collect();
    let texts = training
        .iter()
        .flat_map(|word| [&*word.problem.instruction, &*word.program, &*word.reasoning])
        .chain(observations.iter().map(String::as_str))
        .chain(other_texts.iter().copied());
    let bpe = train_bpe(texts, scale.vocabulary, &["<|im_start|>", "<|im_end|>"])?;
    let path = folder.path("tokenizer");
    write_tokenizer_folder(&path, &bpe)?;
    let tokenizer = ChatTokenizer::from_folder(&path)?;

    let rows: Vec<SftRow> = worked
        .iter()
        .map(|(word, text)| worked_row(&word.problem, text))
        .collect();
    ultrainteract::formats::write_jsonl(folder.path("sft_seed.jsonl"), &rows)?;
    let mut sft = rows
        .iter()
        .map(|row| policy::imitated(&row.id, &row.instruction, &row.response, &tokenizer))
        .collect::<Result<Vec<_>>>()?;
    for tree in &corrections {
        let is_correct = |id| {
            let action = tree.node(id).action();
            action.is_some_and(|action| action.verdict == Verdict::Correct)
        };
        let tokens = tokenizer.encode_tree(tree, is_correct)?;
        sft.push(TrainingTree::imitated(tree.id(), &tokens)?);
    }
    let development = held_out.split_off(scale.held_out_problems);
    Ok(Corpus {
        worked: solved.len(),
        tree_problems: training[solved.len()..].to_vec(),
        development,
        held_out,
        tokenizer,
        sft,
    })
}

/// What the model imitates before it acts: one way of writing the solution down, each for half of the problems of every
/// template. Nobody has tried whether it is right.
fn worked(index: usize, word: &WordProblem, round_length: usize) -> (&WordProblem, &str) {
    let (template, round) = (index % round_length, index / round_length);
    let text = if (template + round).is_multiple_of(2) {
        &word.program
    } else {
        &word.reasoning
    };
    (word, text)
}

/// A problem as it was worked, as a row of the released SFT format.
fn worked_row(problem: &Problem, text: &str) -> SftRow {
    let hash = instruction_hash(&problem.instruction);
    SftRow {
        id: format!("{hash}_1_1"),
        parent_id: hash,
        task: problem.task,
        dataset: problem.dataset.clone(),
        instruction: problem.instruction.clone(),
        response: text.to_owned(),
    }
}

/// Problems shown with a mistake, its observation, and then a solution in the way that is right: a program where that is, else
/// sentences. Only the solution is trained on. Without them the model would meet its first observation
/// when it is already acting.
fn corrections(
    seed: u64,
    worked: &[(&WordProblem, &str)],
    round_length: usize,
    environment: &PythonEnvironment,
) -> Result<Vec<PreferenceTree>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mistakes: Vec<(&WordProblem, String)> = worked
        .iter()
        .enumerate()
        // Shifted every second round, so that all templates have their turn, in both ways of writing.
        .filter(|(index, _)| {
            let (place, rounds) = (index % round_length, index / (2 * round_length));
            (place + rounds).is_multiple_of(CORRECTION_EVERY)
        })
        .filter_map(|(_, (word, text))| Some((*word, with_mistake(text, &mut rng)?)))
        .collect();
    let attempts: Vec<Attempt<'_>> = mistakes
        .iter()
        .map(|(word, action)| Attempt {
            problem: &word.problem,
            history: &[],
            action,
        })
        .collect();
    let outcomes = environment.execute(&attempts)?;
    let mut trees = Vec::new();
    for ((word, mistake), outcome) in mistakes.iter().zip(&outcomes) {
        let problem = &word.problem;
        if outcome.verdict != Verdict::Incorrect {
            continue;
        }
        let critique = RuleCritic.critique(&CritiqueRequest {
            problem,
            action: mistake,
            execution: outcome.execution.as_ref(),
            answer: outcome.answer.as_deref(),
            history: &[],
            seed,
        })?;
        let right = if word.program_is_right {
            &word.program
        } else {
            &word.reasoning
        };
        let action = |text: &str, verdict| Action {
            text: text.to_owned(),
            verdict,
            actor: "annotation".to_owned(),
            schema: Schema::of(text),
            source: ActionSource::GroundTruth,
        };
        let id = format!("{}-correction", problem.id);
        let mut tree =
            PreferenceTree::new(id, problem.task, &problem.dataset, &problem.instruction)?;
        let wrong = tree.add_action(tree.root(), action(mistake, Verdict::Incorrect))?;
        let observation = tree.add_observation(
            wrong,
            Observation {
                execution: outcome
                    .execution
                    .as_ref()
                    .map(|run| run.render().to_owned()),
                feedback: environment.feedback(Verdict::Incorrect).to_owned(),
                critique: Some(critique),
            },
        )?;
        tree.add_action(observation, action(right, Verdict::Correct))?;
        trees.push(tree);
    }
    Ok(trees)
}

/// The text with one of its numbers replaced, step numbers excepted.
fn with_mistake(text: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    let numbers: Vec<(usize, usize)> = text
        .match_indices(|c: char| c.is_ascii_digit())
        .map(|(start, _)| start)
        .filter(|&start| !text[..start].ends_with(|c: char| c.is_ascii_digit()))
        .filter(|&start| !text[..start].ends_with("Step "))
        .map(|start| {
            let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
            (start, start + digits)
        })
        .collect();
    let (start, end) = *numbers.choose(rng)?;
    let wrong = rng.random_range(2..=50).to_string();
    (wrong != text[start..end]).then(|| format!("{}{wrong}{}", &text[..start], &text[end..]))
}
