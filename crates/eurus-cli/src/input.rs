//! The files of a command as trees to train on, with its options. Standard error is told what became of the rows.

use anyhow::{Context, Result, bail};
use eurus::data::input;
use eurus::forest::rows::{OptionNames, RowOptions, TrainingRows, read};
use eurus::forest::{LabelKind, TrainingTree, add_mismatched};

use crate::options::Rows;
use crate::setup::Setup;

/// Options of rows that one kind of label has.
pub struct Wanted {
    pub kind: LabelKind,
    pub last_turn_only: bool,
    pub rank_only: Vec<String>,
    pub margin: f32,
}

impl Wanted {
    pub fn new(kind: LabelKind) -> Self {
        Self {
            kind,
            last_turn_only: false,
            rank_only: Vec::new(),
            margin: 0.0,
        }
    }
}

/// Reads files, or patterns of them.
pub fn rows(
    files: &[String],
    options: &Rows,
    wanted: &Wanted,
    setup: &Setup,
) -> Result<TrainingRows> {
    let rows = setup
        .ranks
        .all_ok(read_rows(files, options, wanted, setup))?;
    setup.tell(&rows.to_string());
    Ok(rows)
}

fn read_rows(
    files: &[String],
    options: &Rows,
    wanted: &Wanted,
    setup: &Setup,
) -> Result<TrainingRows> {
    let files = input::expand(files)?;
    let budget = setup.settings.token_budget;
    let (limit, set_by) = match setup.path_limit.tokens <= budget {
        true => (setup.path_limit.tokens, setup.path_limit.set_by),
        false => (budget, "--token-budget"),
    };
    let score_by = &options.score_by;
    let options = RowOptions {
        format: options.format,
        score_by: options.score_by.source(),
        limit: eurus::forest::LengthLimit {
            path: limit,
            together: budget,
        },
        option_names: OptionNames {
            path: set_by.to_owned(),
            together: "--token-budget".to_owned(),
            drop_unusable: "--drop-unusable".to_owned(),
            over_long: "--over-long cut or drop".to_owned(),
            score_by: "--score-by fine-grained".to_owned(),
            show_tokenization: "--show-tokenization".to_owned(),
        },
        over_long: options.over_long,
        drop_unusable: options.drop_unusable,
        show_tokenization: options.show_tokenization,
        last_turn_only: wanted.last_turn_only,
        rank_only: wanted.rank_only.clone(),
        margin: wanted.margin,
        ..RowOptions::new(wanted.kind)
    };
    let rows = read(&files, &setup.tokenizer, &options)?;
    score_by.check(rows.report.rankings > 0)?;
    setup.check_vocabulary(rows.trees.iter().map(TrainingTree::tree))?;
    Ok(rows)
}

/// Adds the mismatched responses of KTO's KL estimate. They join a prompt with a response of another tree, so their length is
/// not that of any row. Returns the longest path.
pub fn add_mismatched_responses(rows: &mut TrainingRows, setup: &Setup) -> Result<usize> {
    add_mismatched(&mut rows.trees, setup.settings.seed).with_context(|| rows.files())?;
    let budget = setup.settings.token_budget;
    let mut longest = 0;
    for tree in &rows.trees {
        let tokens = tree.tree().longest_path_tokens();
        longest = longest.max(tokens);
        if tokens > budget {
            bail!(
                "{}: KTO's KL estimate joins a prompt of problem `{}` with an action of another one; together they have {tokens} tokens, more than --token-budget {budget}; raise it, or drop the longest rows",
                rows.files(),
                tree.id(),
            );
        }
    }
    Ok(longest)
}
