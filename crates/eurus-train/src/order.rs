//! Which trees are in which step.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use token_forest::forests_needed;

use crate::TrainingConfig;

/// The trees of every step of a run, by index: each epoch in a new order. `pieces` are the tokens of the pieces that each
/// tree is packed in.
pub(crate) fn step_order(pieces: &[Vec<usize>], settings: &TrainingConfig) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    let most = settings.max_steps.unwrap_or(usize::MAX);
    let mut steps = Vec::new();
    for _ in 0..settings.epochs {
        if steps.len() >= most {
            break;
        }
        order.shuffle(&mut rng);
        match settings.forests_per_step {
            None => steps.extend(order.chunks(settings.trees_per_step).map(<[usize]>::to_vec)),
            Some(forests) => {
                steps.extend(full_steps(&order, pieces, forests, settings.token_budget))
            }
        }
    }
    steps.truncate(most);
    steps
}

/// How many trees a step looks at for some that fill it. Those it does not take are the first of the next.
const LOOK_AHEAD: usize = 64;

/// Steps of as many trees as fit in some forests, the trees almost in their order.
fn full_steps(
    order: &[usize],
    pieces: &[Vec<usize>],
    forests: usize,
    token_budget: usize,
) -> Vec<Vec<usize>> {
    let mut waiting: VecDeque<usize> = order.iter().copied().collect();
    let mut steps = Vec::new();
    while let Some(first) = waiting.pop_front() {
        let mut step = vec![first];
        let mut of_step = pieces[first].clone();
        let mut passed = VecDeque::new();
        while passed.len() < LOOK_AHEAD
            && let Some(tree) = waiting.pop_front()
        {
            let before = of_step.len();
            of_step.extend(&pieces[tree]);
            let tokens: usize = of_step.iter().sum();
            // Half of all room is enough however it is packed, and more than all never is.
            let room = forests * token_budget;
            let fits = tokens <= room / 2
                || (tokens <= room && forests_needed(&of_step, token_budget) <= forests);
            if fits {
                step.push(tree);
            } else {
                of_step.truncate(before);
                passed.push_back(tree);
            }
        }
        passed.append(&mut waiting);
        waiting = passed;
        steps.push(step);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(forests: usize, token_budget: usize, seed: u64) -> TrainingConfig {
        TrainingConfig {
            forests_per_step: Some(forests),
            token_budget,
            epochs: 2,
            seed,
            ..TrainingConfig::default()
        }
    }

    proptest! {
        #[test]
        fn an_epoch_has_every_tree_once_and_no_step_needs_more_forests(
            pieces in prop::collection::vec(prop::collection::vec(1usize..100, 1..3), 1..60),
            forests in 1usize..5,
            seed in 0u64..9,
        ) {
            let token_budget = 100;
            let steps = step_order(&pieces, &settings(forests, token_budget, seed));
            let mut seen: Vec<usize> = steps.concat();
            seen.sort_unstable();
            let twice: Vec<usize> = (0..pieces.len()).flat_map(|tree| [tree, tree]).collect();
            prop_assert_eq!(seen, twice);
            for step in &steps {
                let of_step: Vec<usize> = step.iter().flat_map(|&tree| pieces[tree].clone()).collect();
                let needed = forests_needed(&of_step, token_budget);
                prop_assert!(needed <= forests || step.len() == 1, "{step:?}");
            }
        }
    }

    #[test]
    fn steps_of_whole_forests_are_full_but_for_the_last() {
        // Sizes as those of trees, from a tenth to half of the budget.
        let pieces: Vec<Vec<usize>> = (0..500).map(|i| vec![200 + (i * 7919) % 900]).collect();
        let settings = TrainingConfig {
            epochs: 1,
            ..settings(2, 2048, 3)
        };
        let steps = step_order(&pieces, &settings);
        let (_, full) = steps.split_last().expect("steps");
        let tokens: usize = full.iter().flatten().map(|&tree| pieces[tree][0]).sum();
        let utilization = tokens as f64 / (full.len() * 2 * 2048) as f64;
        assert!(utilization > 0.95, "{utilization}");
    }
}
