//! What the output says of an answer, and how a row says it.

use serde_json::{Map, Value, json};

use super::Score;
use super::forest::{Place, ScoredTree};
use super::items::Shape;
use super::scorers::Scorers;
use super::steps;

impl Score {
    /// All that is said of an answer.
    pub(super) fn of_answer(
        &self,
        scorers: &Scorers,
        scored: &[ScoredTree],
        place: &Place,
    ) -> Map<String, Value> {
        let tree = &scored[place.tree];
        let mut score = self.of_node(tree, place.node);
        score.insert("tokens".to_owned(), json!(tree.tokens[place.node].len()));
        if self.each_turn {
            let turns = tree
                .answers_before(place.node)
                .into_iter()
                .chain([place.node]);
            let turns: Vec<Map<String, Value>> =
                turns.map(|node| self.of_node(tree, node)).collect();
            if let Some(sum) = self.sum_of(&turns) {
                score.insert("sum_of_turns".to_owned(), json!(sum));
            }
            score.insert("turns".to_owned(), json!(turns));
        }
        if self.each_step {
            let tokens = &tree.tokens[place.node];
            let steps = steps::ranges(&scorers.tokenizer, tokens).into_iter();
            let values: Vec<f64> = steps
                .map(|range| self.implicit(tree, place.node, range))
                .collect();
            let least = values.iter().copied().reduce(f64::min);
            score.insert("steps".to_owned(), json!(values));
            score.insert("least_step".to_owned(), json!(least));
        }
        score
    }

    /// What the implicit rewards of turns add up to: that of all that the assistant said.
    fn sum_of(&self, turns: &[Map<String, Value>]) -> Option<f64> {
        let name = if self.reference.is_some() {
            "implicit_reward"
        } else {
            "log_prob"
        };
        turns.iter().map(|turn| turn.get(name)?.as_f64()).sum()
    }

    fn of_node(&self, tree: &ScoredTree, node: usize) -> Map<String, Value> {
        let mut score = Map::new();
        if let Some(rewards) = &tree.rewards {
            score.insert("reward".to_owned(), json!(rewards[node]));
        }
        if let Some(policy) = &tree.policy {
            let whole = 0..policy[node].len();
            let sum: f64 = policy[node].iter().copied().map(f64::from).sum();
            score.insert("log_prob".to_owned(), json!(sum));
            if self.reference.is_some() {
                let ratio = tree.log_ratio(node, whole);
                score.insert("log_ratio".to_owned(), json!(ratio));
                score.insert("implicit_reward".to_owned(), json!(self.beta * ratio));
            }
        }
        score
    }

    /// Beta times the log-ratio of some tokens of a node; their log-prob without a reference.
    fn implicit(&self, tree: &ScoredTree, node: usize, range: std::ops::Range<usize>) -> f64 {
        match self.reference.is_some() {
            true => self.beta * tree.log_ratio(node, range),
            false => tree.log_ratio(node, range),
        }
    }
}

/// A row with what is said of its answers.
pub fn line(mut head: Value, shape: Shape, scores: Vec<(String, Map<String, Value>)>) -> Value {
    let Some(row) = head.as_object_mut() else {
        return head;
    };
    match shape {
        Shape::One => row.extend(scores.into_iter().flat_map(|(_, score)| score)),
        Shape::Named => row.extend(scores.into_iter().map(|(name, score)| (name, json!(score)))),
        Shape::List(name) => {
            let named = scores.into_iter().map(|(name, mut score)| {
                score.insert("name".to_owned(), json!(name));
                json!(score)
            });
            row.insert(name.to_owned(), named.collect());
        }
    }
    head
}
