//! Actions that augmentation matches with actions of other turns: leaves under the instruction, computed once.

use std::collections::BTreeSet;

use burn::tensor::Device;
use eurus_models::{Decoder, DecoderConfig, RewardModel};
use eurus_train::{RewardTrainer, TrainingConfig, pair_rewards};
use pref_losses::{BradleyTerryConfig, RewardLossConfig};
use token_forest::{ChatTokenizer, TrainingTree, train_bpe};
use ultrainteract::derive::{Augmentation, augment, pair_rows};
use ultrainteract::formats::PairRow;
use ultrainteract::rebuild::trees_from_pairs;
use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};

/// A tree of three turns, each with a correct and an incorrect action.
fn three_turns() -> PreferenceTree {
    let action = |text: String, verdict| Action {
        text,
        verdict,
        actor: "test".into(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    };
    let mut tree = PreferenceTree::new("p1", Task::MathCot, "test", "What is 6 * 7?").expect("ok");
    let mut prompt = tree.root();
    for turn in 1..=3 {
        let right = action(format!("It is 42, seen in turn {turn}."), Verdict::Correct);
        let wrong = action(format!("It is 4{turn}{turn}, I think."), Verdict::Incorrect);
        let right = tree.add_action(prompt, right).expect("an action");
        let wrong = tree.add_action(prompt, wrong).expect("an action");
        tree.add_pair(right, wrong).expect("a pair");
        if turn < 3 {
            let said = Observation::parse(&format!("That is wrong. {turn} of 3."));
            prompt = tree.add_observation(wrong, said).expect("an observation");
        }
    }
    tree
}

struct Setting {
    tokenizer: ChatTokenizer,
    model: RewardModel,
}

impl Setting {
    fn new() -> Self {
        let bpe = train_bpe(
            ["What is 6 * 7? It is 42."],
            300,
            &["<|im_start|>", "<|im_end|>"],
        )
        .expect("merges");
        let mut config = DecoderConfig::llama(bpe.vocab_size(), 24, 2, 4);
        config.initializer_range = 0.2;
        Self {
            tokenizer: ChatTokenizer::from_files(bpe.files().expect("files")).expect("ok"),
            model: RewardModel::from_decoder(Decoder::init(&config, 3, &Device::flex())),
        }
    }

    /// The tree that these rows make.
    fn tree(&self, rows: &[PairRow]) -> TrainingTree {
        let trees = trees_from_pairs(rows).expect("rows of a tree");
        assert_eq!(trees.len(), 1, "all rows are in one tree");
        TrainingTree::pairs_of(&trees[0], &self.tokenizer).expect("pairs")
    }
}

fn rows() -> (Vec<PairRow>, Vec<PairRow>) {
    let tree = three_turns();
    let augmented = augment(&tree, &Augmentation::default());
    assert_eq!(
        augmented.len(),
        6,
        "three by three, without those of one turn"
    );
    (pair_rows(&tree), augmented)
}

#[test]
fn an_action_matched_several_times_is_one_leaf_under_the_instruction() {
    let setting = Setting::new();
    let (multi_turn, augmented) = rows();
    let all = [multi_turn.clone(), augmented.clone()].concat();
    let (plain, tree) = (setting.tree(&multi_turn), setting.tree(&all));
    assert_eq!(tree.groups().len(), 3 + 6);

    let texts: BTreeSet<&str> = augmented
        .iter()
        .flat_map(|row| [row.chosen.as_str(), row.rejected.as_str()])
        .collect();
    assert_eq!(texts.len(), 6);
    // The actions of the first turn are under the instruction as they are; the other four are there once more.
    let added = tree.tree().nodes.len() - plain.tree().nodes.len();
    assert_eq!(added, 4);
    let under_instruction = tree.tree().children()[0].len();
    assert_eq!(under_instruction, 2 + 4);
    let tokens_of_texts: usize = texts
        .iter()
        .filter(|text| !text.contains("turn 1") && !text.contains("411"))
        .map(|text| setting.tokenizer.encode_action(text).expect("tokens").len())
        .sum();
    assert_eq!(
        tree.tree().unique_tokens(),
        plain.tree().unique_tokens() + tokens_of_texts
    );
}

#[test]
fn rewards_of_matched_actions_are_those_of_their_rows_alone() {
    let setting = Setting::new();
    let (multi_turn, augmented) = rows();
    let all = [multi_turn, augmented].concat();
    let settings = TrainingConfig::default();
    let together = pair_rewards(&setting.model, &[setting.tree(&all)], &settings).expect("rewards");
    let alone: Vec<TrainingTree> = all
        .iter()
        .map(|row| setting.tree(std::slice::from_ref(row)))
        .collect();
    let rows = pair_rewards(&setting.model, &alone, &settings).expect("rewards");
    assert_eq!(together.len(), rows.len());
    for (pair, row) in together.iter().zip(&rows) {
        assert!((pair.chosen - row.chosen).abs() < 1e-5, "{pair:?} {row:?}");
        assert!(
            (pair.rejected - row.rejected).abs() < 1e-5,
            "{pair:?} {row:?}"
        );
    }

    let loss = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
    let trainer = RewardTrainer::new(settings, &loss).expect("valid settings");
    let of_tree = trainer.evaluate(&setting.model, &[setting.tree(&all)]);
    let of_rows = trainer.evaluate(&setting.model, &alone).expect("a loss");
    assert!((of_tree.expect("a loss").loss - of_rows.loss).abs() < 1e-5);
}
