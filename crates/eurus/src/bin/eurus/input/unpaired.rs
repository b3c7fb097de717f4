//! Responses with a verdict each: what rows have in common at their beginning is in one tree.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use eurus::data::example::{Unpaired, Utterance};
use eurus::data::formats;
use eurus::forest::{ChatMessage, OverLong, Role, TokenTree};
use eurus::train::{LabelledNode, LabelledTree};

use super::{Rows, beyond_budget, path_too_long, place};
use crate::rows::{RowReport, Unusable};
use crate::setup::{Setup, UsageError};
use crate::text::TextReport;

/// Reads rows with a verdict each and tokenizes them. Standard error is told what became of the rows.
pub fn unpaired(file: &Path, setup: &Setup) -> Result<Rows<LabelledTree>> {
    let responses = setup.ranks.together(read(file, setup))?;
    setup.tell(&responses.describe());
    Ok(responses)
}

fn read(file: &Path, setup: &Setup) -> Result<Rows<LabelledTree>> {
    if setup.over_long == OverLong::CutOldestTurns {
        let problem = "--over-long cut does not know rows with a verdict each; with --unpaired it is error or drop";
        return Err(UsageError::new(problem).into());
    }
    let mut rows = formats::read_jsonl::<Unpaired>(file)?;
    let mut counts = RowReport::new(setup.drop_unusable);
    let mut report = TextReport::new(setup);
    let mut forest = GrowingForest::default();
    while let Some(row) = counts.next(&mut rows)? {
        let line = rows.line();
        if !counts.is_used(&(&row.prompt, &row.completion, row.label), line) {
            continue;
        }
        if row.completion.len() > 1 {
            bail!(
                "{}: field `completion`: it has {} messages, and a verdict is on one; give a row for each answer, with what comes before it as its prompt",
                place(file, line),
                row.completion.len()
            );
        }
        let prompt: Vec<ChatMessage> = row.prompt.iter().map(message).collect();
        let mut messages = prompt.clone();
        messages.extend(row.completion.iter().map(message));
        let tokens = setup
            .tokenizer
            .encode_messages(&messages)
            .map_err(|problem| {
                let field = match setup.tokenizer.encode_prompt(&prompt) {
                    Ok(_) => "completion",
                    Err(_) => "prompt",
                };
                anyhow!("{}: field `{field}`: {problem}", place(file, line))
            })?;
        report.compare(|| setup.tokenizer.boundary_differences_in_messages(&messages))?;
        let response = tokens.nodes.last().map_or(0, |node| node.tokens.len());
        if response == 0 {
            counts.add(Unusable::Empty, line, || {
                "`completion` has no token to train on".to_owned()
            });
            continue;
        }
        let history = tokens.unique_tokens() - response;
        let too_long = path_too_long(setup, history, response, ["prompt", "completion"])
            .or_else(|| beyond_budget(setup, history + response, "`prompt` and `completion`"));
        report.lengths.groups += 1;
        match (too_long, setup.over_long) {
            (None, _) => {
                let named = row.origin.parent_id.or(row.origin.id);
                let id = || named.unwrap_or_else(|| format!("row {line}"));
                forest.add(id, &tokens, row.label);
            }
            (Some(problem), OverLong::Error) => counts.add(Unusable::OverLong, line, || problem),
            (Some(_), _) => report.lengths.dropped_for_response += 1,
        }
    }
    Rows::checked(file, setup, forest.finish()?, counts, report, |tree| {
        &tree.tree
    })
}

fn message(said: &Utterance) -> ChatMessage {
    ChatMessage {
        role: match said.role {
            eurus::data::example::Role::System => Role::System,
            eurus::data::example::Role::User => Role::User,
            eurus::data::example::Role::Assistant => Role::Assistant,
        },
        content: said.content.clone(),
    }
}

/// Trees by the tokens of their roots, in the order of their first rows.
#[derive(Default)]
struct GrowingForest {
    trees: Vec<GrowingTree>,
    by_root: HashMap<Vec<u32>, usize>,
}

struct GrowingTree {
    id: String,
    tokens: TokenTree,
    responses: Vec<LabelledNode>,
}

impl GrowingForest {
    /// Adds a row, a path whose last node is the response; `id` names its tree if it is the first one.
    fn add(&mut self, id: impl FnOnce() -> String, path: &TokenTree, desirable: bool) {
        let Some((response, history)) = path.nodes.split_last() else {
            return;
        };
        let Some((root, turns)) = history.split_first() else {
            return;
        };
        let place = *self.by_root.entry(root.tokens.clone()).or_insert_with(|| {
            self.trees.push(GrowingTree {
                id: id(),
                tokens: TokenTree::new(root.tokens.clone(), false),
                responses: Vec::new(),
            });
            self.trees.len() - 1
        });
        let tree = &mut self.trees[place];
        let mut prompt = 0;
        for turn in turns {
            let known = tree
                .tokens
                .nodes
                .iter()
                .position(|node| node.parent == Some(prompt) && node.tokens == turn.tokens);
            prompt = known.unwrap_or_else(|| tree.tokens.push(prompt, turn.tokens.clone(), false));
        }
        // A row that is there twice counts twice.
        let node = tree.tokens.push(prompt, response.tokens.clone(), true);
        tree.responses.push(LabelledNode { node, desirable });
    }

    fn finish(self) -> Result<Vec<LabelledTree>> {
        let labelled =
            |tree: GrowingTree| Ok(LabelledTree::new(tree.id, &tree.tokens, &tree.responses)?);
        self.trees.into_iter().map(labelled).collect()
    }
}

impl Rows<LabelledTree> {
    /// What was read and what became of it.
    fn describe(&self) -> String {
        let tokens: usize = self.trees.iter().map(|it| it.tree.unique_tokens()).sum();
        let responses = || self.trees.iter().flat_map(|tree| &tree.responses);
        format!(
            "{}: {}\n  {} responses, {} of them desirable, in {} trees, {tokens} tokens{}",
            self.file.display(),
            self.rows,
            responses().count(),
            responses().filter(|it| it.desirable).count(),
            self.trees.len(),
            self.report,
        )
    }
}
