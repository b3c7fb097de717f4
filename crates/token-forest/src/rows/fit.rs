//! Trees of messages to trees of tokens that fit.

use ultrainteract::input::Location;

use super::RowOptions;
use super::example::Fields;
use super::growing::GrowingTree;
use super::report::Unusable;
use crate::{
    BoundaryDifferences, ChatTokenizer, Error, Fitted, Group, LabelKind, LengthCounts, OverLong,
    Result, TextCounts, TokenTree, TooLong, TrainingTree,
};

/// Trees of each round of comparisons.
const ROUND: usize = 200;

/// Which trees are compared with their whole text: the first 200, then 200 of every second, 200 of every fourth and so on, so
/// that large files cost little more than small ones.
pub(super) fn sample(trees: usize) -> Vec<bool> {
    let mut compared = 0;
    let mut is_due = |tree: usize| {
        let due = tree.is_multiple_of(1 << (compared / ROUND).min(32));
        compared += usize::from(due);
        due
    };
    (0..trees).map(&mut is_due).collect()
}

/// What became of a tree's groups.
#[derive(Default)]
pub(super) struct FitReport {
    pub counts: LengthCounts,
    pub differences: BoundaryDifferences,
    pub texts: TextCounts,
    pub unusable: Vec<(Unusable, Location, String)>,
}

/// The tokens of a tree, with the groups that can be trained on; `None` when none is left.
pub(super) fn fit(
    tree: &GrowingTree,
    compare: bool,
    tokenizer: &ChatTokenizer,
    options: &RowOptions,
) -> Result<(Option<TrainingTree>, FitReport)> {
    let mut report = FitReport::default();
    // Without the rows that the template refuses, if such are to be dropped.
    let mut kept: Option<GrowingTree> = None;
    let policy = match options.over_long {
        // All of them are told, not the first alone.
        OverLong::Error => OverLong::Drop,
        policy => policy,
    };
    let Fitted {
        tree: tokens,
        groups,
        counts,
        too_long,
        texts,
    } = loop {
        let tree = kept.as_ref().unwrap_or(tree);
        let problem = match tokenizer.fit(&tree.messages, options.limit, policy) {
            Ok(fitted) => break fitted,
            Err(problem) => problem,
        };
        let Some((group, field, problem)) = refused(tree, tokenizer) else {
            return Err(problem);
        };
        let location = &tree.sources[group].0;
        let problem = problem.in_field(field);
        if !options.drop_unusable {
            return Err(problem.in_row(location));
        }
        let refused = (Unusable::Invalid, location.clone(), problem.to_string());
        report.unusable.push(refused);
        let rest = tree.without(group);
        if rest.sources.is_empty() {
            return Ok((None, report));
        }
        kept = Some(rest);
    };
    let tree = kept.as_ref().unwrap_or(tree);
    report.texts = texts;
    if options.over_long == OverLong::Error {
        report.unusable.extend(too_long.iter().map(|group| {
            let (location, fields) = &tree.sources[group.group];
            let problem = over_long(group, *fields, options);
            (Unusable::OverLong, location.clone(), problem)
        }));
    } else {
        report.counts = counts;
    }
    if compare {
        report.differences = tokenizer.boundary_differences(&tree.messages)?;
    }
    let Some(tokens) = tokens else {
        return Ok((None, report));
    };
    let mut kept = Vec::with_capacity(groups.len());
    for (index, nodes) in groups.into_iter().enumerate() {
        let Some(nodes) = nodes else { continue };
        if options.kind == LabelKind::Pair && same_tokens(&tokens, &nodes) {
            // Texts that differ may be the same to the model: templates trim.
            report.unusable.push((
                Unusable::IdenticalPair,
                tree.sources[index].0.clone(),
                "`chosen` and `rejected` are the same tokens".to_owned(),
            ));
        } else {
            let label = tree.messages.groups[index].label.clone();
            kept.push(Group::new(nodes, label));
        }
    }
    if kept.is_empty() {
        return Ok((None, report));
    }
    let tree = TrainingTree::new(&tree.messages.id, &tokens, kept)?;
    Ok((Some(tree), report))
}

fn same_tokens(tree: &TokenTree, nodes: &[usize]) -> bool {
    match nodes {
        [first, second] => tree.nodes[*first].tokens == tree.nodes[*second].tokens,
        _ => false,
    }
}

/// Which limit a group exceeds, and the field that makes it do so.
fn over_long(group: &TooLong, fields: Fields, options: &RowOptions) -> String {
    let (limit, names) = (options.limit, &options.option_names);
    if group.path > limit.path {
        let field = match group.history < limit.path {
            true => fields.response(group.longest),
            false => fields.history,
        };
        return format!(
            "field `{field}` is too long: with what comes before it the row has {} tokens, more than {} = {}",
            group.path, names.path, limit.path
        );
    }
    format!(
        "{} have {} tokens, more than {} {}",
        fields.all(),
        group.together,
        names.together,
        limit.together
    )
}

/// The group and field that the chat template or the tokenizer refuses, and why.
fn refused(tree: &GrowingTree, tokenizer: &ChatTokenizer) -> Option<(usize, &'static str, Error)> {
    let groups = tree.messages.groups.iter().zip(&tree.sources);
    for (index, (group, (_, fields))) in groups.enumerate() {
        let refused = |field: &'static str, problem: Error| (index, field, problem);
        for (place, &node) in group.nodes.iter().enumerate() {
            let path = tree.messages.path_messages(node);
            let history = &path[..path.len() - 1];
            if place == 0
                && let Err(problem) = tokenizer.encode_prompt(history)
            {
                return Some(refused(fields.history, problem));
            }
            if let Err(problem) = tokenizer.encode_messages(&path) {
                return Some(refused(fields.response(place), problem));
            }
        }
    }
    None
}
