//! Rows to token trees. Everything that can be wrong with a row is found here, and named by file, row and field.

mod scored;
mod unpaired;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use eurus::data::formats::{self, PairRow, SftRow};
use eurus::data::rebuild::Rebuilder;
use eurus::data::{NodeId, PreferenceTree};
use eurus::forest::{ChatMessage, OverLong, TokenTree};
use eurus::train::data::ResponseTree;
use eurus::train::{NodePair, PairedTree, SftTree, add_mismatched};

use crate::rows::{RowReport, Unusable};
use crate::setup::Setup;
use crate::text::TextReport;

pub use scored::scored;
pub use unpaired::unpaired;

/// Trees with pairs, and where each pair came from.
pub struct Pairs {
    pub trees: Vec<PairedTree>,
    /// Data set and task of each tree.
    pub kinds: Vec<[String; 2]>,
    /// Rows that contradict the first tree of their problem and so are in another tree.
    pub apart: usize,
    pub rows: RowReport,
    pub report: TextReport,
    source: Source,
}

/// The trees of a file, whatever they are trained with.
pub struct Rows<T> {
    pub trees: Vec<T>,
    pub rows: RowReport,
    pub report: TextReport,
    file: PathBuf,
}

impl From<Pairs> for Rows<PairedTree> {
    fn from(pairs: Pairs) -> Self {
        Self {
            trees: pairs.trees,
            rows: pairs.rows,
            report: pairs.report,
            file: pairs.source.file,
        }
    }
}

impl<T> Rows<T> {
    /// The rows of a file, if all that must not be dropped can be trained on and something is left.
    fn checked(
        file: &Path,
        setup: &Setup,
        trees: Vec<T>,
        rows: RowReport,
        report: TextReport,
        tokens: impl Fn(&T) -> &TokenTree,
    ) -> Result<Self> {
        rows.check(file)?;
        if trees.is_empty() {
            bail!("{}: {}", file.display(), report.nothing_left(&rows));
        }
        setup.check_vocabulary(trees.iter().map(tokens))?;
        Ok(Self {
            trees,
            rows,
            report,
            file: file.to_path_buf(),
        })
    }
}

impl<T: ResponseTree> Rows<T> {
    /// Number of pairs, of responses with a verdict, or of prompts with scored responses.
    pub fn len(&self) -> usize {
        self.trees.iter().map(|tree| tree.groups().len()).sum()
    }

    /// Adds the mismatched completions of KTO's KL estimate. They join a prompt with an action of another tree, so
    /// their length is not that of any row. Returns the longest path.
    pub fn add_mismatched(&mut self, setup: &Setup) -> Result<usize> {
        add_mismatched(&mut self.trees, setup.settings.seed)
            .with_context(|| self.file.display().to_string())?;
        let mut longest = 0;
        for tree in &self.trees {
            let tokens = tree.tree().longest_path_tokens();
            longest = longest.max(tokens);
            if tokens > setup.settings.token_budget {
                bail!(
                    "{}: KTO's KL estimate joins a prompt of problem `{}` with an action of another one; together they have {tokens} tokens, more than --token-budget {}; raise it, or drop the longest rows",
                    self.file.display(),
                    tree.id(),
                    setup.settings.token_budget
                );
            }
        }
        Ok(longest)
    }
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

/// Reads pair rows, puts them back into trees and tokenizes these. Standard error is told what became of the rows.
pub fn pairs(file: &Path, setup: &Setup) -> Result<Pairs> {
    let pairs = setup.ranks.together(read_pairs(file, setup))?;
    setup.tell(&pairs.describe());
    Ok(pairs)
}

fn read_pairs(file: &Path, setup: &Setup) -> Result<Pairs> {
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
    let mut kinds = Vec::with_capacity(trees.len());
    for tree in &trees {
        if let Some(usable) = paired_tree(tree, &source, setup, &mut report, &mut counts)? {
            paired.push(usable);
            kinds.push([tree.dataset().to_owned(), tree.task().to_string()]);
        }
        report.compare(|| setup.tokenizer.boundary_differences(tree))?;
    }
    counts.check(file)?;
    let trees = paired;
    if trees.is_empty() {
        bail!("{}: {}", file.display(), report.nothing_left(&counts));
    }
    setup.check_vocabulary(trees.iter().map(|tree| &tree.tree))?;
    Ok(Pairs {
        trees,
        kinds,
        apart,
        rows: counts,
        report,
        source,
    })
}

/// The tokens of a tree and the pairs that can be trained on; `None` when there are none.
fn paired_tree(
    tree: &PreferenceTree,
    source: &Source,
    setup: &Setup,
    report: &mut TextReport,
    counts: &mut RowReport,
) -> Result<Option<PairedTree>> {
    let (paired, rows) = if setup.over_long == OverLong::Error {
        let paired = PairedTree::from_preference_tree(tree, &setup.tokenizer)
            .map_err(|error| refused_by_template(tree, source, setup).unwrap_or(error.into()))?;
        (paired, (0..tree.pairs().len()).collect())
    } else {
        match fitted_tree(tree, source, setup, report)? {
            Some(fitted) => fitted,
            None => return Ok(None),
        }
    };
    let lengths = paired.tree.path_lengths();
    let mut usable = Vec::with_capacity(paired.pairs.len());
    for (&pair, row) in paired.pairs.iter().zip(rows) {
        let line = source.line(tree, row);
        let [chosen, rejected] =
            [pair.chosen, pair.rejected].map(|node| &paired.tree.nodes[node].tokens);
        let history = lengths[pair.chosen] - chosen.len();
        if let Some(problem) = pair_too_long(setup, history, chosen.len(), rejected.len()) {
            counts.add(Unusable::OverLong, line, || problem);
        } else if chosen == rejected {
            // Texts that differ may be the same to the model: templates trim.
            counts.add(Unusable::IdenticalPair, line, || {
                "`chosen` and `rejected` are the same tokens".to_owned()
            });
        } else {
            usable.push(pair);
        }
    }
    if usable.len() == paired.pairs.len() {
        return Ok(Some(paired));
    }
    let rest = (!usable.is_empty()).then(|| PairedTree::new(tree.id(), &paired.tree, &usable));
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

/// Which limit a pair exceeds, if one. The numbers are tokens.
fn pair_too_long(setup: &Setup, history: usize, chosen: usize, rejected: usize) -> Option<String> {
    // The two actions answer the same history and go through the model together.
    let fields = "`trajectory`, `chosen` and `rejected`";
    path_too_long(setup, history, chosen, ["trajectory", "chosen"])
        .or_else(|| path_too_long(setup, history, rejected, ["trajectory", "rejected"]))
        .or_else(|| beyond_budget(setup, history + chosen + rejected, fields))
}

/// Which limit a row of one path exceeds, if one.
fn response_too_long(setup: &Setup, history: usize, response: usize) -> Option<String> {
    let fields = "`instruction` and `response`";
    path_too_long(setup, history, response, ["instruction", "response"])
        .or_else(|| beyond_budget(setup, history + response, fields))
}

/// Which of the fields of history and action makes a path too long, if it is.
fn path_too_long(
    setup: &Setup,
    history: usize,
    action: usize,
    fields: [&str; 2],
) -> Option<String> {
    let limit = setup.path_limit;
    let tokens = history + action;
    let field = fields[usize::from(history < limit.tokens)];
    (tokens > limit.tokens).then(|| {
        format!(
            "field `{field}` is too long: with what comes before it the row has {tokens} tokens, more than {} = {}",
            limit.set_by, limit.tokens
        )
    })
}

fn beyond_budget(setup: &Setup, tokens: usize, fields: &str) -> Option<String> {
    let budget = setup.settings.token_budget;
    (tokens > budget)
        .then(|| format!("{fields} have {tokens} tokens, more than --token-budget {budget}"))
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

impl Pairs {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.trees.iter().map(|tree| tree.pairs.len()).sum()
    }

    /// What was read and what became of it.
    fn describe(&self) -> String {
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
}

impl Rows<SftTree> {
    /// What was read and what became of it.
    fn describe(&self) -> String {
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

/// Reads SFT rows and tokenizes them, each a tree with one path. Standard error is told what became of the rows.
pub fn sft(file: &Path, setup: &Setup) -> Result<Rows<SftTree>> {
    let responses = setup.ranks.together(read_sft(file, setup))?;
    setup.tell(&responses.describe());
    Ok(responses)
}

fn read_sft(file: &Path, setup: &Setup) -> Result<Rows<SftTree>> {
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
        let response = tokens.nodes.last().map_or(0, |node| node.tokens.len());
        let history = tokens.unique_tokens() - response;
        if let Some(problem) = response_too_long(setup, history, response) {
            counts.add(Unusable::OverLong, rows.line(), || problem);
            continue;
        }
        match SftTree::new(row.id, tokens) {
            Ok(tree) => trees.push(tree),
            Err(eurus::train::Error::NothingTrainable { .. }) => {
                counts.add(Unusable::Empty, rows.line(), || {
                    "`response` has no token to train on".to_owned()
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Rows::checked(file, setup, trees, counts, report, |tree| &tree.tree)
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
