//! What a run will cost, before it starts.

use std::fmt;

use eurus::chat::{Prices, estimated_tokens};
use eurus::synth::Problem;
use eurus::synth::run_file::{Endpoint, RunFile};
use serde::Serialize;

/// Calls, tokens and money of one model, at least and at most.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    endpoint: String,
    part: &'static str,
    least: Cost,
    most: Cost,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Cost {
    requests: f64,
    prompt_tokens: f64,
    completion_tokens: f64,
    money: f64,
}

/// The share of the longest action that actions take, where nothing is known of them.
const USUAL_SHARE: f64 = 0.4;

/// What the parts of a run cost for these problems: at least, when each problem has a correct and an incorrect action after the
/// first round of each turn, and actions are of usual length; at most, when nobody is ever right and everything is as long as it
/// may be.
pub fn estimate(file: &RunFile, problems: &[Problem]) -> Vec<Estimate> {
    let actors = &file.actors;
    let turns = file.trees.max_turns as f64;
    let longest = file.sampling.max_tokens as f64;
    let usual = longest * USUAL_SHARE;
    let critique = file.critic.max_tokens as f64;
    let count = problems.len() as f64;
    let instructions: usize = problems
        .iter()
        .map(|it| estimated_tokens(&it.instruction))
        .sum();
    // The system message, and the words around the template.
    let asked = instructions as f64 + 250.0 * count;
    // What is read at all turns of a problem together: the instruction each time, and what was said before.
    let read = |said: f64| turns * asked + count * turns * (turns - 1.0) / 2.0 * said;

    let mut parts = Vec::new();
    let mut add = |part, endpoint: &str, least: [f64; 3], most: [f64; 3]| {
        let prices = match &file.endpoints.get(endpoint) {
            Some(Endpoint::Server(server)) => server.prices,
            _ => None,
        };
        parts.push(Estimate {
            endpoint: endpoint.to_owned(),
            part,
            least: Cost::new(least, prices.as_ref()),
            most: Cost::new(most, prices.as_ref()),
        });
    };
    let rounds = (actors.samples as f64 / actors.round.max(1) as f64).ceil();
    // Two requests a round where two schemas are drawn.
    let schemas = actors.schemas.len().max(1) as f64;
    let (least_read, most_read) = (
        read(usual + critique / 2.0),
        read(longest + critique + 500.0),
    );
    add(
        "actions",
        &actors.cheap,
        [
            count * turns * schemas,
            least_read * schemas,
            count * turns * actors.round as f64 * usual,
        ],
        [
            count * turns * rounds * schemas,
            most_read * rounds * schemas,
            count * turns * actors.samples as f64 * longest,
        ],
    );
    for stronger in &actors.stronger {
        let samples = count * turns * actors.stronger_samples as f64;
        add(
            "stronger",
            stronger,
            [0.0; 3],
            [
                count * turns * schemas,
                most_read * schemas,
                samples * longest,
            ],
        );
    }
    for incorrect in &actors.incorrect {
        let samples = count * turns * actors.incorrect_samples as f64;
        let share = actors.incorrect.len() as f64;
        let most = [
            count * turns * schemas,
            most_read * schemas,
            samples * longest,
        ];
        add("incorrect", incorrect, [0.0; 3], most.map(|it| it / share));
    }
    if let Some(teacher) = &actors.teacher {
        let with_solution = problems
            .iter()
            .filter(|it| !it.solutions.is_empty())
            .count() as f64;
        let tries = with_solution * turns * 2.0 * file.trees.elicitations as f64;
        add(
            "teacher",
            teacher,
            [0.0; 3],
            [
                tries,
                tries * (asked / count.max(1.0) + 500.0),
                tries * longest,
            ],
        );
    }
    if let Some(critic) = &actors.critic {
        let critiques = count * (turns - 1.0);
        add(
            "critiques",
            critic,
            [
                critiques,
                least_read + critiques * usual,
                critiques * critique / 2.0,
            ],
            [
                3.0 * critiques,
                3.0 * (most_read + critiques * longest),
                3.0 * critiques * critique,
            ],
        );
    }
    if let Some(selector) = &actors.selector {
        add(
            "selection",
            selector,
            [count, asked, count * usual],
            [count, asked, count * longest],
        );
    }
    parts
}

impl Cost {
    fn new(
        [requests, prompt_tokens, completion_tokens]: [f64; 3],
        prices: Option<&Prices>,
    ) -> Self {
        Self {
            requests,
            prompt_tokens,
            completion_tokens,
            money: prices.map_or(0.0, |prices| prices.cost(prompt_tokens, completion_tokens)),
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} {:<12} {:>9.0} to {:>9.0} requests, {:>6.2} to {:>7.2} M prompt tokens, {:>6.2} to {:>7.2} M completion \
             tokens, {:.2} to {:.2} of money",
            self.part,
            self.endpoint,
            self.least.requests,
            self.most.requests,
            self.least.prompt_tokens / 1e6,
            self.most.prompt_tokens / 1e6,
            self.least.completion_tokens / 1e6,
            self.most.completion_tokens / 1e6,
            self.least.money,
            self.most.money
        )
    }
}

/// The money of all parts, at least and at most.
pub fn money(parts: &[Estimate]) -> (f64, f64) {
    let least = parts.iter().map(|it| it.least.money).sum();
    (least, parts.iter().map(|it| it.most.money).sum())
}
