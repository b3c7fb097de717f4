//! Numbers of actions held against their verdicts.

use ultrainteract::{NodeId, PreferenceTree, Verdict};

use super::scores::Measure;

/// How far the number of an action is against its verdict; `None` if it is not.
///
/// A right action is held against the wrong actions to the same history that are scored: it is against its verdict if one of
/// them has more, by the difference to the highest; a wrong one if a right one has less. An action without such a sibling is
/// held against zero, if the measure has one that means something. Equal numbers are not against anything.
pub(super) fn against(
    tree: &PreferenceTree,
    values: &[Option<f64>],
    measure: Measure,
    node: NodeId,
) -> Option<f64> {
    let verdict = |node: NodeId| tree.node(node).action().map(|action| action.verdict);
    let value = values[node.index()]?;
    let (sign, other) = match verdict(node)? {
        Verdict::Correct => (1.0, Verdict::Incorrect),
        Verdict::Incorrect => (-1.0, Verdict::Correct),
        Verdict::Unjudged => return None,
    };
    let siblings = tree
        .node(node)
        .parent()
        .map_or(&[][..], |parent| tree.children(parent));
    let others = siblings.iter().filter(|&&it| verdict(it) == Some(other));
    let gaps = others.filter_map(|it| Some(sign * (values[it.index()]? - value)));
    let gap = match gaps.reduce(f64::max) {
        Some(gap) => gap,
        None if measure.is_signed() => -sign * value,
        None => return None,
    };
    (gap > 0.0).then_some(gap)
}

/// The depth of the colour of a number: the sign is that of the number, 1 to 4 its size in quarters of the scale.
pub(super) fn shade(value: f64, scale: f64) -> i8 {
    if value == 0.0 || scale <= 0.0 {
        return 0;
    }
    let quarters = (value.abs() / scale * 4.0).ceil().clamp(1.0, 4.0);
    // Between 1 and 4.
    (quarters as i8) * if value < 0.0 { -1 } else { 1 }
}

/// What has the deepest colour: the absolute value that one in twenty numbers exceeds.
pub(super) fn scale(values: impl Iterator<Item = f64>) -> f64 {
    let mut sizes: Vec<f64> = values.map(f64::abs).collect();
    if sizes.is_empty() {
        return 0.0;
    }
    let at = (sizes.len() - 1) * 19 / 20;
    *sizes.select_nth_unstable_by(at, f64::total_cmp).1
}
