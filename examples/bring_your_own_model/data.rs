//! The task: repeat the last symbol of the prompt. Trees have two turns; the bad answer of the first is corrected.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{Group, TokenTree, TrainingTree};

/// Token ids: twelve symbols, a mark where the answer begins, and its end.
pub const SYMBOLS: usize = 14;
const ANSWER: u32 = 12;
const END: u32 = 13;

const TRAINED: usize = 96;
const HELD_OUT: usize = 32;

pub struct Task {
    pub pairs: Vec<TrainingTree>,
    pub good_answers: Vec<TrainingTree>,
    pub held_out: Vec<TrainingTree>,
}

impl Task {
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut pairs, mut good_answers, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..TRAINED + HELD_OUT {
            let (tree, of_tree) = draw_tree(&mut rng);
            let paired = TrainingTree::new(format!("tree-{index}"), &tree, of_tree);
            let paired = paired.expect("two pairs of a whole tree");
            if index >= TRAINED {
                held_out.push(paired);
                continue;
            }
            // To be imitated: the good answers alone.
            let good = paired.groups().iter().map(|pair| pair.nodes[0]);
            let good = good.map(Group::imitated).collect();
            let imitated = TrainingTree::new(paired.id(), paired.tree(), good);
            good_answers.push(imitated.expect("good answers in a whole tree"));
            pairs.push(paired);
        }
        Self {
            pairs,
            good_answers,
            held_out,
        }
    }
}

fn draw_tree(rng: &mut ChaCha8Rng) -> (TokenTree, Vec<Group>) {
    let prompt: Vec<u32> = (0..6).map(|_| rng.random_range(0..ANSWER)).collect();
    let last = prompt[5];
    let mut tree = TokenTree::new([&prompt[..], &[ANSWER]].concat(), false);
    let wrong = |rng: &mut ChaCha8Rng| (last + rng.random_range(1..ANSWER)) % ANSWER;
    let chosen = tree.push(0, vec![last, END], true);
    let rejected = tree.push(0, vec![wrong(rng), END], true);
    let again = tree.push(rejected, vec![last, ANSWER], false);
    let second_chosen = tree.push(again, vec![last, END], true);
    let second_rejected = tree.push(again, vec![wrong(rng), END], true);
    let pairs = vec![
        Group::pair(chosen, rejected),
        Group::pair(second_chosen, second_rejected),
    ];
    (tree, pairs)
}
