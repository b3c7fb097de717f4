//! Which trees are in which step.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use token_forest::forests_needed;

use crate::Optimization;

/// The trees of every step of a run, by index: each epoch in a new order. `sizes` are the tokens of the trees, of what is
/// trained of them.
pub(crate) fn step_order(sizes: &[usize], settings: &Optimization) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
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
                steps.extend(full_steps(&order, sizes, forests, settings.token_budget))
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
    sizes: &[usize],
    forests: usize,
    token_budget: usize,
) -> Vec<Vec<usize>> {
    let mut waiting: VecDeque<usize> = order.iter().copied().collect();
    let mut steps = Vec::new();
    while let Some(first) = waiting.pop_front() {
        let mut step = vec![first];
        let mut of_step = vec![sizes[first]];
        let mut left = (forests * token_budget).saturating_sub(sizes[first]);
        let mut passed = VecDeque::new();
        while passed.len() < LOOK_AHEAD
            && let Some(tree) = waiting.pop_front()
        {
            of_step.push(sizes[tree]);
            // Whatever leaves a forest's worth of tokens free fits however it is packed.
            let fits = sizes[tree] <= left
                && (left - sizes[tree] >= forests * token_budget / 2
                    || forests_needed(&of_step, token_budget) <= forests);
            if fits {
                left -= sizes[tree];
                step.push(tree);
            } else {
                of_step.pop();
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

    fn settings(forests: usize, token_budget: usize, seed: u64) -> Optimization {
        Optimization {
            forests_per_step: Some(forests),
            token_budget,
            epochs: 2,
            seed,
            ..Optimization::default()
        }
    }

    proptest! {
        #[test]
        fn an_epoch_has_every_tree_once_and_no_step_needs_more_forests(
            sizes in prop::collection::vec(1usize..150, 1..60),
            forests in 1usize..5,
            seed in 0u64..9,
        ) {
            let token_budget = 100;
            let steps = step_order(&sizes, &settings(forests, token_budget, seed));
            let mut seen: Vec<usize> = steps.concat();
            seen.sort_unstable();
            let twice: Vec<usize> = (0..sizes.len()).flat_map(|tree| [tree, tree]).collect();
            prop_assert_eq!(seen, twice);
            for step in &steps {
                let of_step: Vec<usize> = step.iter().map(|&tree| sizes[tree]).collect();
                let needed = forests_needed(&of_step, token_budget);
                prop_assert!(needed <= forests || step.len() == 1, "{step:?}");
            }
        }
    }

    #[test]
    fn steps_of_whole_forests_are_full_but_for_the_last() {
        // Sizes as those of trees, from a tenth to half of the budget.
        let sizes: Vec<usize> = (0..500).map(|i| 200 + (i * 7919) % 900).collect();
        let settings = Optimization {
            epochs: 1,
            ..settings(2, 2048, 3)
        };
        let steps = step_order(&sizes, &settings);
        let (_, full) = steps.split_last().expect("steps");
        let tokens: usize = full.iter().flatten().map(|&tree| sizes[tree]).sum();
        let utilisation = tokens as f64 / (full.len() * 2 * 2048) as f64;
        assert!(utilisation > 0.95, "{utilisation}");
    }
}
