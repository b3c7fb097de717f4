//! Rows to token trees. Everything that can be wrong with a row is found here, and named by file, row and field.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use eurus::data::formats::{self, PairRow, SftRow};
use eurus::data::rebuild::Rebuilder;
use eurus::data::{NodeId, PreferenceTree};
use eurus::forest::{ChatMessage, OverLong, TokenTree};
use eurus::train::{NodePair, PairedTree, SftTree, add_mismatched};

use crate::rows::{RowReport, Unusable};
use crate::setup::Setup;
use crate::text::TextReport;

/// Trees with pairs, and where each pair came from.
pub struct Pairs {
    pub trees: Vec<PairedTree>,
    /// Rows that contradict the first tree of their problem and so are in another tree.
    pub apart: usize,
    pub rows: RowReport,
    pub report: TextReport,
    source: Source,
}

/// SFT rows as trees with one path each.
pub struct Responses {
    pub trees: Vec<SftTree>,
    pub rows: RowReport,
    pub report: TextReport,
    file: PathBuf,
}

/// Where pairs stand in their file.
struct Source {
    file: PathBuf,
    /// Line by problem and row id.
    lines: HashMap<(String, String), usize>,
}

impl Source {
    fn line(&self, tree: &PreferenceTree, pair: usize) -> usize {
        let id = tree.pair_id(pair).unwrap_or_default();
        let key = (tree.id().to_owned(), id.to_owned());
        self.lines.get(&key).copied().unwrap_or_default()
    }

    fn place(&self, tree: &PreferenceTree, pair: usize) -> String {
        place(&self.file, self.line(tree, pair))
    }
}

fn place(file: &Path, line: usize) -> String {
    format!("row {line} of {}", file.display())
}

/// Reads pair rows, puts them back into trees and tokenizes these.
pub fn pairs(file: &Path, setup: &Setup) -> Result<Pairs> {
    let mut rows = formats::read_jsonl::<PairRow>(file)?;
    let mut source = Source {
        file: file.to_path_buf(),
        lines: HashMap::new(),
    };
    let mut counts = RowReport::new(setup.drop_unusable);
    // Rows may have more turns than the paper's trees; what they may not have is too many tokens.
    let mut rebuilder = Rebuilder::new().with_max_turns(usize::MAX)?;
    while let Some(row) = counts.next(&mut rows)? {
        let content = (&row.trajectory, &row.chosen, &row.rejected);
        if !counts.is_used(&content, rows.line()) {
            continue;
        }
        rebuilder.push(&row).map_err(|fault| rows.locate(fault))?;
        let key = (row.parent_id, row.id);
        source.lines.entry(key).or_insert(rows.line());
    }
    let apart = rebuilder.splits().len();
    let trees = rebuilder.finish();
    let mut report = TextReport::new(setup);
    let mut paired = Vec::with_capacity(trees.len());
    for tree in &trees {
        paired.extend(paired_tree(tree, &source, setup, &mut report, &mut counts)?);
        report.compare(|| setup.tokenizer.boundary_differences(tree))?;
    }
    let trees = paired;
    if trees.is_empty() {
        bail!("{}: {}", file.display(), report.nothing_left(&counts));
    }
    setup.check_vocabulary(trees.iter().map(|tree| &tree.tree))?;
    Ok(Pairs {
        trees,
        apart,
        rows: counts,
        report,
        source,
    })
}

/// The tokens of a tree and its pairs; `None` when all pairs were dropped.
fn paired_tree(
    tree: &PreferenceTree,
    source: &Source,
    setup: &Setup,
    report: &mut TextReport,
    counts: &mut RowReport,
) -> Result<Option<PairedTree>> {
    let (paired, rows) = if setup.over_long == OverLong::Error {
        let all = (0..tree.pairs().len()).collect();
        (whole_tree(tree, source, setup)?, all)
    } else {
        match fitted_tree(tree, source, setup, report)? {
            Some(fitted) => fitted,
            None => return Ok(None),
        }
    };
    // Texts that differ may be the same to the model: templates trim.
    let same = |pair: &NodePair| {
        let tokens = |node: usize| &paired.tree.nodes[node].tokens;
        tokens(pair.chosen) == tokens(pair.rejected)
    };
    let different: Vec<NodePair> = paired
        .pairs
        .iter()
        .copied()
        .filter(|it| !same(it))
        .collect();
    for (_, row) in paired.pairs.iter().zip(rows).filter(|(pair, _)| same(pair)) {
        let problem = "`chosen` and `rejected` are the same tokens";
        let place = source.place(tree, row);
        counts.unusable(
            Unusable::Identical,
            || format!("row {}: {problem}", source.line(tree, row)),
            || anyhow!("{place}: {problem}; a pair needs two different actions, drop the row"),
        )?;
    }
    if different.len() == paired.pairs.len() {
        return Ok(Some(paired));
    }
    let rest =
        (!different.is_empty()).then(|| PairedTree::new(tree.id(), &paired.tree, &different));
    Ok(rest.transpose()?)
}

/// The tokens of a tree with the pairs that are not too long, and which pairs these are; `None` when none is left.
fn fitted_tree(
    tree: &PreferenceTree,
    source: &Source,
    setup: &Setup,
    report: &mut TextReport,
) -> Result<Option<(PairedTree, Vec<usize>)>> {
    let groups: Vec<Vec<NodeId>> = tree
        .pairs()
        .iter()
        .map(|pair| vec![pair.chosen, pair.rejected])
        .collect();
    let fitted = setup
        .tokenizer
        .fit_tree(tree, &groups, setup.length_limit(), setup.over_long)
        .map_err(|error| refused_by_template(tree, source, setup).unwrap_or(error.into()))?;
    report.lengths += fitted.counts;
    let Some(tokens) = fitted.tree else {
        return Ok(None);
    };
    let (rows, pairs): (Vec<usize>, Vec<NodePair>) = fitted
        .groups
        .iter()
        .enumerate()
        .filter_map(|(row, nodes)| {
            let nodes = nodes.as_ref()?;
            let pair = NodePair {
                chosen: nodes[0],
                rejected: nodes[1],
            };
            Some((row, pair))
        })
        .unzip();
    let paired = PairedTree::new(tree.id(), &tokens, &pairs)?;
    Ok(Some((paired, rows)))
}

/// The tokens of a tree with all its pairs; a row that is too long is an error that names the field.
fn whole_tree(tree: &PreferenceTree, source: &Source, setup: &Setup) -> Result<PairedTree> {
    let paired = PairedTree::from_preference_tree(tree, &setup.tokenizer)
        .map_err(|error| refused_by_template(tree, source, setup).unwrap_or(error.into()))?;
    let lengths = paired.tree.path_lengths();
    for (index, pair) in paired.pairs.iter().enumerate() {
        let row = || source.place(tree, index);
        let own = |node: usize| paired.tree.nodes[node].tokens.len();
        for (field, node) in [("chosen", pair.chosen), ("rejected", pair.rejected)] {
            let history = lengths[node] - own(node);
            check_path(setup, history, own(node), "trajectory", field)
                .map_err(|problem| anyhow!("{}: {problem}", row()))?;
        }
        // The two actions of a pair answer the same history and go through the model together.
        let together = lengths[pair.chosen] + own(pair.rejected);
        if together > setup.settings.token_budget {
            bail!(
                "{}: `trajectory`, `chosen` and `rejected` have {together} tokens, more than --token-budget {}; raise it, or shorten or drop the row",
                row(),
                setup.settings.token_budget
            );
        }
    }
    Ok(paired)
}

/// Finds the row and field that the chat template or the tokenizer refuses.
fn refused_by_template(
    tree: &PreferenceTree,
    source: &Source,
    setup: &Setup,
) -> Option<anyhow::Error> {
    let tokenizer = &setup.tokenizer;
    for (index, pair) in tree.pairs().iter().enumerate() {
        let refused = |field: &str, problem: eurus::forest::Error| {
            anyhow!("{}: field `{field}`: {problem}", source.place(tree, index))
        };
        let history: Vec<ChatMessage> = tree
            .messages(pair.prompt)
            .iter()
            .map(ChatMessage::from)
            .collect();
        if let Err(problem) = tokenizer.encode_prompt(&history) {
            return Some(refused("trajectory", problem));
        }
        for (field, node) in [("chosen", pair.chosen), ("rejected", pair.rejected)] {
            let mut messages = history.clone();
            messages.push(ChatMessage::assistant(tree.node(node).text()));
            if let Err(problem) = tokenizer.encode_messages(&messages) {
                return Some(refused(field, problem));
            }
        }
    }
    None
}

/// Refuses a path that is too long, naming the field that makes it so.
fn check_path(
    setup: &Setup,
    history: usize,
    action: usize,
    history_field: &str,
    action_field: &str,
) -> Result<()> {
    let limit = setup.path_limit;
    let tokens = history + action;
    if tokens <= limit.tokens {
        return Ok(());
    }
    let field = if history >= limit.tokens {
        history_field
    } else {
        action_field
    };
    bail!(
        "field `{field}` is too long: with what comes before it the row has {tokens} tokens, more than {} = {}; raise the limit, or shorten or drop the row",
        limit.set_by,
        limit.tokens
    )
}

impl Pairs {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.trees.iter().map(|tree| tree.pairs.len()).sum()
    }

    /// What was read and what became of it.
    pub fn describe(&self) -> String {
        let unique: usize = self.trees.iter().map(|t| t.tree.unique_tokens()).sum();
        let apart = match self.apart {
            0 => String::new(),
            rows => format!("; {rows} rows contradict their tree and start another"),
        };
        format!(
            "{}: {}\n  {} pairs in {} trees, {unique} tokens{apart}{}",
            self.source.file.display(),
            self.rows,
            self.len(),
            self.trees.len(),
            self.report,
        )
    }

    /// Adds the mismatched completions of KTO's KL estimate. They join a prompt with an action of another tree, so
    /// their length is not that of any row. Returns the longest path.
    pub fn add_mismatched(&mut self, setup: &Setup) -> Result<usize> {
        add_mismatched(&mut self.trees, setup.settings.seed)
            .with_context(|| self.source.file.display().to_string())?;
        let mut longest = 0;
        for tree in &self.trees {
            let tokens = tree.tree.longest_path_tokens();
            longest = longest.max(tokens);
            if tokens > setup.settings.token_budget {
                bail!(
                    "{}: KTO's KL estimate joins a prompt of problem `{}` with an action of another one; together they have {tokens} tokens, more than --token-budget {}; raise it, or drop the longest rows",
                    self.source.file.display(),
                    tree.id,
                    setup.settings.token_budget
                );
            }
        }
        Ok(longest)
    }
}

impl Responses {
    /// What was read and what became of it.
    pub fn describe(&self) -> String {
        let tokens: usize = self.trees.iter().map(|it| it.tree.unique_tokens()).sum();
        format!(
            "{}: {}\n  {} rows to imitate, {tokens} tokens{}",
            self.file.display(),
            self.rows,
            self.trees.len(),
            self.report
        )
    }
}

/// Reads SFT rows and tokenizes them, each a tree with one path.
pub fn sft(file: &Path, setup: &Setup) -> Result<Responses> {
    let mut rows = formats::read_jsonl::<SftRow>(file)?;
    let mut trees = Vec::new();
    let mut counts = RowReport::new(setup.drop_unusable);
    let mut report = TextReport::new(setup);
    while let Some(row) = counts.next(&mut rows)? {
        if !counts.is_used(&(&row.instruction, &row.response), rows.line()) {
            continue;
        }
        let place = || place(rows.file(), rows.line());
        let tokens = sft_tokens(&row, setup, &mut report).map_err(|problem| {
            let prompt = [ChatMessage::user(&row.instruction)];
            let field = match setup.tokenizer.encode_prompt(&prompt) {
                Ok(_) => "response",
                Err(_) => "instruction",
            };
            anyhow!("{}: field `{field}`: {problem}", place())
        })?;
        let Some(tokens) = tokens else {
            continue;
        };
        report.compare(|| setup.tokenizer.boundary_differences_in_sft(&row))?;
        let lengths: Vec<usize> = tokens.nodes.iter().map(|node| node.tokens.len()).collect();
        let (action, history) = (
            lengths.last().copied().unwrap_or_default(),
            lengths[..lengths.len().saturating_sub(1)].iter().sum(),
        );
        check_path(setup, history, action, "instruction", "response")
            .map_err(|problem| anyhow!("{}: {problem}", place()))?;
        if history + action > setup.settings.token_budget {
            bail!(
                "{}: `instruction` and `response` have {} tokens, more than --token-budget {}; raise it, or shorten or drop the row",
                place(),
                history + action,
                setup.settings.token_budget
            );
        }
        match SftTree::new(row.id, tokens) {
            Ok(tree) => trees.push(tree),
            Err(eurus::train::Error::NothingTrainable { .. }) => {
                let problem = "`response` has no token to train on";
                counts.unusable(
                    Unusable::Empty,
                    || format!("row {}: {problem}", rows.line()),
                    || anyhow!("{}: {problem}; drop the row", place()),
                )?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if trees.is_empty() {
        bail!("{}: {}", file.display(), report.nothing_left(&counts));
    }
    setup.check_vocabulary(trees.iter().map(|tree| &tree.tree))?;
    Ok(Responses {
        trees,
        rows: counts,
        report,
        file: file.to_path_buf(),
    })
}

/// The tokens of a row; `None` when it was too long and dropped.
fn sft_tokens(
    row: &SftRow,
    setup: &Setup,
    report: &mut TextReport,
) -> eurus::forest::Result<Option<TokenTree>> {
    if setup.over_long == OverLong::Error {
        return setup.tokenizer.encode_sft(row).map(Some);
    }
    let limit = setup.length_limit().path;
    let fitted = setup.tokenizer.fit_sft(row, limit, setup.over_long)?;
    report.lengths += fitted.counts;
    Ok(fitted.tree)
}
