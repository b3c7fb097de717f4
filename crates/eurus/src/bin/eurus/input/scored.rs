//! Several scored answers to one instruction: a tree with a leaf for each.

use std::path::Path;

use anyhow::{Result, anyhow};
use eurus::data::example::{Ranking, Scored};
use eurus::data::formats;
use eurus::forest::{ChatMessage, OverLong, TokenTree};
use eurus::train::{ScoredNode, ScoredTree};

use super::{Rows, beyond_budget, path_too_long, place};
use crate::rows::{RowReport, Unusable};
use crate::setup::{Setup, UsageError};
use crate::text::TextReport;

/// Reads rows of scored answers and tokenizes them. Standard error is told what became of the rows.
pub fn scored(file: &Path, setup: &Setup) -> Result<Rows<ScoredTree>> {
    let rows = setup.ranks.together(read(file, setup))?;
    setup.tell(&rows.describe());
    Ok(rows)
}

fn read(file: &Path, setup: &Setup) -> Result<Rows<ScoredTree>> {
    if setup.over_long == OverLong::CutOldestTurns {
        let problem = "--over-long cut does not know rows of scored answers; with --scored it is error or drop";
        return Err(UsageError::new(problem).into());
    }
    let mut rows = formats::read_jsonl::<Ranking>(file)?;
    let mut counts = RowReport::new(setup.drop_unusable);
    let mut report = TextReport::new(setup);
    let mut trees = Vec::new();
    while let Some(row) = counts.next(&mut rows)? {
        let line = rows.line();
        let answers = scored_answers(&row);
        let content: Vec<(&str, u64)> = answers
            .iter()
            .map(|(answer, score)| (answer.response.as_str(), score.to_bits()))
            .collect();
        if !counts.is_used(&(&row.instruction, content), line) {
            continue;
        }
        if answers.len() < 2 {
            counts.add(Unusable::Unscored, line, || {
                "fewer than two entries of `completions` differ and have a score".to_owned()
            });
            continue;
        }
        let (tree, responses) = tree_of(&row.instruction, &answers, setup, &mut report)
            .map_err(|problem| anyhow!("{}: {problem}", place(file, line)))?;
        let lengths = tree.path_lengths();
        let too_long = responses
            .iter()
            .find_map(|it| {
                let tokens = tree.nodes[it.node].tokens.len();
                let history = lengths[it.node] - tokens;
                path_too_long(setup, history, tokens, ["instruction", "completions"])
            })
            .or_else(|| {
                let fields = "`instruction` and all `completions`";
                beyond_budget(setup, tree.unique_tokens(), fields)
            });
        report.lengths.groups += 1;
        match (too_long, setup.over_long) {
            (None, _) => trees.push(ScoredTree::new(format!("row {line}"), &tree, &[responses])?),
            (Some(problem), OverLong::Error) => counts.add(Unusable::OverLong, line, || problem),
            (Some(_), _) => report.lengths.dropped_for_response += 1,
        }
    }
    Rows::checked(file, setup, trees, counts, report, |tree| &tree.tree)
}

/// The answers that have a score, each text once.
fn scored_answers(row: &Ranking) -> Vec<(&Scored, f64)> {
    let mut answers: Vec<(&Scored, f64)> = Vec::new();
    for answer in &row.completions {
        let known = |(other, _): &(&Scored, f64)| other.response == answer.response;
        if let Some(score) = answer.score().filter(|score| score.is_finite())
            && !answers.iter().any(known)
        {
            answers.push((answer, score));
        }
    }
    answers
}

/// The instruction with its answers as leaves.
fn tree_of(
    instruction: &str,
    answers: &[(&Scored, f64)],
    setup: &Setup,
    report: &mut TextReport,
) -> Result<(TokenTree, Vec<ScoredNode>)> {
    let mut tree: Option<TokenTree> = None;
    let mut responses = Vec::with_capacity(answers.len());
    for (answer, score) in answers {
        let messages = [
            ChatMessage::user(instruction),
            ChatMessage::assistant(&answer.response),
        ];
        let path = setup.tokenizer.encode_messages(&messages)?;
        report.compare(|| setup.tokenizer.boundary_differences_in_messages(&messages))?;
        let (Some(response), Some(prompt)) = (path.nodes.last(), path.nodes.len().checked_sub(2))
        else {
            continue;
        };
        let response = response.tokens.clone();
        let tree = tree.get_or_insert_with(|| TokenTree {
            nodes: path.nodes[..=prompt].to_vec(),
        });
        responses.push(ScoredNode {
            node: tree.push(prompt, response, true),
            score: *score as f32,
        });
    }
    let tree = tree.ok_or_else(|| anyhow!("the chat template makes no answer"))?;
    Ok((tree, responses))
}

impl Rows<ScoredTree> {
    /// What was read and what became of it.
    fn describe(&self) -> String {
        let tokens: usize = self.trees.iter().map(|it| it.tree.unique_tokens()).sum();
        let responses = self.trees.iter().flat_map(|tree| &tree.prompts);
        format!(
            "{}: {}\n  {} prompts with {} scored responses, {tokens} tokens{}",
            self.file.display(),
            self.rows,
            self.trees.len(),
            responses.map(Vec::len).sum::<usize>(),
            self.report,
        )
    }
}
