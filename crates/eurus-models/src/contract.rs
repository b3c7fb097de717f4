//! Whether a model of one's own keeps the rules that trainers take for granted.
//!
//! A token's state may depend on its path alone, and must not depend on what else is in the forest. Where a mask or a
//! position is wrong, nothing fails: the model trains, on something else. Call one of these functions in a test of the model,
//! or before training. They run it without autodiff on two trees of 11 tokens, once for each token, and on their paths alone.

use burn::tensor::{Device, Int, Tensor};
use token_forest::{PackedForest, TokenTree};

use crate::{Error, ForestBatch, ForestBody, ForestModel, ForestRewardModel, Result, int_tensor};

/// Checks the hidden states of a model.
///
/// # Errors
///
/// [`Error::Contract`] with the first rule that the model breaks, and where: the number of rows, numbers that are not finite,
/// two passes that differ, a token that sees what is not on its path or does not see what is, positions, blocks that compute
/// something else.
pub fn check_body<M: ForestBody>(model: &M) -> Result<()> {
    Probe::of(model).check()
}

/// Checks the hidden states and the output projection of a language model.
///
/// ```
/// use burn::tensor::Device;
/// use eurus_models::{Decoder, DecoderConfig, contract};
///
/// let model = Decoder::init(&DecoderConfig::llama(64, 32, 2, 4), 7, &Device::flex());
/// contract::check_model(&model)?;
/// # Ok::<(), eurus_models::Error>(())
/// ```
///
/// # Errors
///
/// As [`check_body`], and for an output projection that is not `[vocab, d]`.
pub fn check_model<M: ForestModel>(model: &M) -> Result<()> {
    let probe = Probe::of(model);
    probe.check()?;
    let wanted = [probe.model.vocab_size(), probe.width()?];
    let found = probe.model.output_weight().dims();
    if found != wanted {
        return Err(broken(
            "`ForestModel::output_weight` is `[vocab_size, d]`",
            format!(
                "it is {found:?}, and there are {} token ids and states of {} features",
                wanted[0], wanted[1]
            ),
        ));
    }
    Ok(())
}

/// Checks the hidden states and the rewards of a reward model.
///
/// # Errors
///
/// As [`check_body`], and for rewards that are not one for each of the tokens that are asked for.
pub fn check_reward_model<M: ForestRewardModel>(model: &M) -> Result<()> {
    let probe = Probe::of(model);
    probe.check()?;
    let batch = probe.batch(&trees(probe.model.vocab_size()))?;
    let tokens: Tensor<1, Int> = int_tensor(&[4, 2, 7], &probe.device);
    let [rewards] = probe.model.rewards(&batch, tokens).dims();
    if rewards != 3 {
        return Err(broken(
            "`ForestRewardModel::rewards_of` is one number for each of the given tokens",
            format!("3 tokens were given, and {rewards} rewards came back"),
        ));
    }
    Ok(())
}

/// States count as different when they differ by more than this share of the largest number in them. Rounding is far below
/// it, in half precision too, and a wrong mask far above.
const DIFFERENT: f64 = 0.02;
/// For float32 and wider.
const DIFFERENT_IN_SINGLE: f64 = 1e-4;

/// A tree with a branch and a second turn, and another tree.
fn trees(vocab_size: usize) -> [TokenTree; 2] {
    let mut next = 0;
    let mut tokens = |count: usize| -> Vec<u32> {
        let of = |it: usize| ((5 * it + 1) % vocab_size.max(1)) as u32;
        let ids = (next..next + count).map(of).collect();
        next += count;
        ids
    };
    let mut first = TokenTree::new(tokens(3), false);
    let answer = first.push(0, tokens(2), true);
    first.push(0, tokens(1), true);
    first.push(answer, tokens(2), true);
    let mut second = TokenTree::new(tokens(2), false);
    second.push(0, tokens(1), true);
    [first, second]
}

fn broken(rule: &'static str, found: String) -> Error {
    Error::Contract { rule, found }
}

/// Hidden states, row by row.
struct States {
    rows: Vec<Vec<f64>>,
    /// The difference beyond which two are different.
    tolerance: f64,
}

impl States {
    fn of(hidden: Tensor<2>) -> Self {
        let share = match hidden.dtype().size() {
            0..4 => DIFFERENT,
            _ => DIFFERENT_IN_SINGLE,
        };
        let width = hidden.dims()[1].max(1);
        let values: Vec<f64> = hidden.into_data().iter::<f64>().collect();
        let largest = values.iter().fold(0f64, |most, it| most.max(it.abs()));
        Self {
            rows: values.chunks(width).map(<[f64]>::to_vec).collect(),
            tolerance: share * largest,
        }
    }

    /// Whether a row is another than one of other states.
    fn differs(&self, row: usize, other: &Self, other_row: usize) -> bool {
        let pairs = self.rows[row].iter().zip(&other.rows[other_row]);
        let largest = pairs.fold(0f64, |most, (a, b)| most.max((a - b).abs()));
        largest > self.tolerance
    }
}

/// A model without autodiff, and where it is.
struct Probe<M> {
    model: M,
    device: Device,
}

impl<M: ForestBody> Probe<M> {
    fn of(model: &M) -> Self {
        let model = model.valid();
        let device = model.devices().into_iter().next();
        Self {
            device: device.map(|it| it.inner()).unwrap_or_default(),
            model,
        }
    }

    fn batch(&self, trees: &[TokenTree]) -> Result<ForestBatch> {
        let forest = PackedForest::from_trees(trees)?;
        Ok(ForestBatch::new(forest, &self.device))
    }

    fn width(&self) -> Result<usize> {
        let batch = self.batch(&trees(self.model.vocab_size()))?;
        Ok(self.model.hidden_states(&batch).dims()[1])
    }

    /// The states of a batch, of which there is one for each token.
    fn states(&self, batch: &ForestBatch) -> Result<States> {
        let hidden = self.model.hidden_states(batch);
        let ([rows, _], tokens) = (hidden.dims(), batch.token_count());
        if rows != tokens {
            return Err(broken(
                "`hidden_states` has a row for every token of the packed forest, in its order",
                format!("a forest of {tokens} tokens gave {rows} rows"),
            ));
        }
        Ok(States::of(hidden))
    }

    fn check(&self) -> Result<()> {
        let trees = trees(self.model.vocab_size());
        let batch = self.batch(&trees)?;
        let states = self.states(&batch)?;
        let finite = |row: &Vec<f64>| row.iter().all(|it| it.is_finite());
        if let Some(token) = states.rows.iter().position(|row| !finite(row)) {
            let token = place(&batch, token);
            return Err(broken(
                "states are finite numbers",
                format!("{token} has one that is not"),
            ));
        }
        self.check_passes(&batch, &states)?;
        self.check_sight(&trees, &batch, &states)?;
        self.check_paths(&trees, &batch, &states)
    }

    /// All ways to compute the states agree.
    fn check_passes(&self, batch: &ForestBatch, states: &States) -> Result<()> {
        let same = |other: Tensor<2>| {
            let other = States::of(other);
            let tokens = 0..states.rows.len();
            other.rows.len() == states.rows.len()
                && tokens.into_iter().all(|it| !states.differs(it, &other, it))
        };
        if !same(self.model.hidden_states(batch)) {
            return Err(broken(
                "two passes over one forest give the same states without autodiff",
                "they differ; is dropout left on?".into(),
            ));
        }
        let (with_loss, loss) = self.model.hidden_states_and_auxiliary_loss(batch);
        if !same(with_loss) {
            return Err(broken(
                "`hidden_states_and_auxiliary_loss` gives the states of `hidden_states`",
                "they differ".into(),
            ));
        }
        if let Some(numbers) = loss.map(|it| it.dims()[0]).filter(|&it| it != 1) {
            return Err(broken(
                "an auxiliary loss is one number",
                format!("there are {numbers}"),
            ));
        }
        let Some(blocks) = self.model.blocks(batch) else {
            return Ok(());
        };
        let through = (0..blocks.count()).fold(blocks.embed(), |x, index| blocks.block(index, x).0);
        if !same(blocks.finish(through)) {
            return Err(broken(
                "`blocks`, one after the other, give the states of `hidden_states`",
                "they differ".into(),
            ));
        }
        Ok(())
    }

    /// No token sees what is not on its path before it.
    fn check_sight(&self, trees: &[TokenTree], batch: &ForestBatch, states: &States) -> Result<()> {
        let forest = &batch.forest;
        for changed in 0..forest.len() {
            let node = forest.node_of[changed];
            let other = self.states(&self.batch(&self.changed(trees, batch, changed))?)?;
            for token in 0..forest.len() {
                let of_token = forest.node_of[token];
                let ancestors = forest.ancestors(of_token as usize);
                let sees = match node == of_token {
                    true => changed <= token,
                    false => ancestors.contains(&node),
                };
                if sees || !states.differs(token, &other, token) {
                    continue;
                }
                let [a, b] = [node, of_token].map(|it| forest.nodes[it as usize].tree);
                let later = node == of_token || forest.ancestors(node as usize).contains(&of_token);
                let rule = if later {
                    "a token does not see those after it on its path; is the causal mask missing?"
                } else if a != b {
                    "a token does not see other trees; mask by `ForestBatch::visibility`"
                } else {
                    "a token does not see other branches of its tree; mask by `ForestBatch::visibility`"
                };
                let [token, changed] = [token, changed].map(|it| place(batch, it));
                return Err(broken(
                    rule,
                    format!("the state of {token} changes with {changed}"),
                ));
            }
        }
        Ok(())
    }

    /// Every path has the states that it has alone.
    fn check_paths(&self, trees: &[TokenTree], batch: &ForestBatch, states: &States) -> Result<()> {
        let forest = &batch.forest;
        for end in 0..forest.node_count() {
            let nodes = forest.ancestors(end).into_iter().chain([end as u32]);
            let path: Vec<usize> = nodes
                .flat_map(|node| forest.tokens_of(node as usize))
                .collect();
            let tree = forest.nodes[end].tree as usize;
            let alone = self.alone(batch, &path, tree)?;
            let own = path
                .iter()
                .enumerate()
                .find(|(place, token)| states.differs(**token, &alone, *place));
            let Some((at, &token)) = own else { continue };
            // The earlier tokens that it sees alone, and not in the forest.
            for &earlier in &path[..at] {
                let changed = self.batch(&self.changed(trees, batch, earlier))?;
                let sees_alone = self.alone(&changed, &path, tree)?;
                if alone.differs(at, &sees_alone, at)
                    && !states.differs(token, &self.states(&changed)?, token)
                {
                    let [token, earlier] = [token, earlier].map(|it| place(batch, it));
                    return Err(broken(
                        "a token sees all tokens before it on its path, those of its node's ancestors too; mask by `ForestBatch::visibility`",
                        format!(
                            "the state of {token} does not change with {earlier}, and does where the path is alone"
                        ),
                    ));
                }
            }
            let position = forest.positions[token];
            let token = place(batch, token);
            return Err(broken(
                "a path in a forest has the states that it has alone; positions count along the path (`PackedForest::positions`), and nothing depends on what else is in the batch",
                format!(
                    "{token}, at position {position} of its path, has another state than alone, although it sees the same tokens"
                ),
            ));
        }
        Ok(())
    }

    /// The states of a path alone, as one node.
    fn alone(&self, batch: &ForestBatch, path: &[usize], tree: usize) -> Result<States> {
        let tokens = path.iter().map(|&it| batch.forest.tokens[it]).collect();
        let mut forest = PackedForest::from_trees([&TokenTree::new(tokens, false)])?;
        // What depends on the length of a tree is that of the whole tree.
        forest.longest_paths = vec![batch.forest.longest_paths[tree]];
        self.states(&ForestBatch::new(forest, &self.device))
    }

    /// The trees with another token in one place.
    fn changed(&self, trees: &[TokenTree], batch: &ForestBatch, token: usize) -> Vec<TokenTree> {
        let node = &batch.forest.nodes[batch.forest.node_of[token] as usize];
        let mut trees = trees.to_vec();
        let tokens = &mut trees[node.tree as usize].nodes[node.tree_node as usize].tokens;
        let id = &mut tokens[token - node.start as usize];
        *id = (*id + 1) % self.model.vocab_size().max(1) as u32;
        trees
    }
}

/// A token in words.
fn place(batch: &ForestBatch, token: usize) -> String {
    let node = &batch.forest.nodes[batch.forest.node_of[token] as usize];
    format!(
        "token {} of node {} in tree {}",
        token - node.start as usize,
        node.tree_node,
        node.tree
    )
}
