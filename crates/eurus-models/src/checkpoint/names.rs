//! The usual names of a folder's tensors, however the tool that wrote them spells them.
//!
//! | spelling | from |
//! | --- | --- |
//! | `_orig_mod.`, anywhere | `torch.compile` |
//! | `_fsdp_wrapped_module.`, `_checkpoint_wrapped_module.`, anywhere | FSDP, activation checkpointing |
//! | `layers.0...` without `model.` | a body saved alone (`LlamaModel`) |
//! | `module.model.`, `base_model.model.model.` | data-parallel wrappers, PEFT |
//! | `language_model.model.`, `model.language_model.` | the language model of a larger one |
//! | `mlp.experts.gate_up_proj`, `mlp.experts.down_proj`, `mlp.gate` | transformers 5: experts of a layer as one tensor |

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{Error, Result};

/// The usual name of the embedding: the tensor that every model has, whatever stands before its name.
pub const EMBEDDING: &str = "model.embed_tokens.weight";
/// The usual name of the output projection.
pub const OUTPUT: &str = "lm_head.weight";

/// Parts of paths that wrappers add wherever they stand.
const WRAPPERS: [&str; 3] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];

/// Modules that stand beside a body, not in it.
const HEADS: [&str; 4] = ["lm_head.", "regression_head.", "score.", "v_head."];

/// Where the numbers of a tensor with a usual name are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The tensor of the file.
    pub stored: String,
    /// Numbers of it that come before.
    pub start: usize,
    /// The shape of the part that is meant.
    pub shape: Vec<usize>,
}

/// A name without the parts that wrappers add.
pub fn unwrapped(name: &str) -> String {
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    parts.collect::<Vec<_>>().join(".")
}

/// The place of every tensor by its usual name, from the names and shapes in the files. Tensors that belong to nothing known
/// keep their names.
///
/// # Errors
///
/// When two tensors would have one name, or adapters stand among the weights.
pub fn places<'a>(
    folder: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<BTreeMap<String, Place>> {
    let tensors: Vec<(&str, String, &[usize])> = tensors
        .map(|(stored, shape)| (stored, unwrapped(stored), shape))
        .collect();
    let is_adapter = |name: &str| name.contains(".lora_A.") || name.contains(".lora_B.");
    if let Some((stored, ..)) = tensors.iter().find(|(_, name, _)| is_adapter(name)) {
        return Err(Error::Adapter {
            problem: format!(
                "{}: the weights have adapters beside them, `{stored}` for one; merge them with PEFT (merge_and_unload) and save the model again, or save base and adapter apart",
                folder.display()
            ),
        });
    }
    let body = body(folder, &tensors)?;
    let mut places = BTreeMap::new();
    for (stored, name, shape) in &tensors {
        let name = usual(name, body.as_deref());
        for (name, place) in parts(name, stored, shape) {
            if let Some(other) = places.insert(name.clone(), place) {
                return Err(Error::AmbiguousTensors {
                    path: folder.into(),
                    name,
                    first: other.stored,
                    second: (*stored).to_owned(),
                });
            }
        }
    }
    Ok(places)
}

/// What stands before the names of the body: `model.` usually. `None` without an embedding.
fn body(folder: &Path, tensors: &[(&str, String, &[usize])]) -> Result<Option<String>> {
    let of_embedding = |(stored, name, _): &(&str, String, &[usize])| {
        let body = name.strip_suffix("embed_tokens.weight")?;
        let is_whole = body.is_empty() || body.ends_with('.');
        is_whole.then(|| (body.to_owned(), (*stored).to_owned()))
    };
    let found: BTreeMap<String, String> = tensors.iter().filter_map(of_embedding).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some((_, first)), Some((_, second))) => Err(Error::AmbiguousTensors {
            path: folder.into(),
            name: EMBEDDING.into(),
            first,
            second,
        }),
        (first, _) => Ok(first.map(|(body, _)| body)),
    }
}

/// The usual name for one without wrappers, where `body` stands before the names of the body.
pub fn usual(name: &str, body: Option<&str>) -> String {
    let Some(body) = body else {
        return name.to_owned();
    };
    if let Some(head) = head(name, body) {
        return head.to_owned();
    }
    let in_body = |rest: &str| {
        let parts = ["embed_tokens.", "layers.", "norm."];
        !body.is_empty() || parts.iter().any(|part| rest.starts_with(part))
    };
    match name.strip_prefix(body) {
        Some(rest) if in_body(rest) => format!("model.{rest}"),
        _ => name.to_owned(),
    }
}

/// The name of a head, which stands before the body's last module or further up.
fn head<'a>(name: &'a str, body: &str) -> Option<&'a str> {
    let is_head = |name: &str| HEADS.iter().any(|head| name.starts_with(head));
    let mut above = body;
    loop {
        above = match above.trim_end_matches('.').rsplit_once('.') {
            Some((first, _)) => &body[..first.len() + 1],
            None => "",
        };
        let rest = name.strip_prefix(above).filter(|rest| is_head(rest));
        if rest.is_some() || above.is_empty() {
            return rest;
        }
    }
}

/// The tensors that one of the file stands for: itself, or what all experts of a layer have of it.
fn parts(name: String, stored: &str, shape: &[usize]) -> Vec<(String, Place)> {
    let whole = |name: String| {
        let place = Place {
            stored: stored.to_owned(),
            start: 0,
            shape: shape.to_vec(),
        };
        vec![(name, place)]
    };
    let of_layer = |suffix: &str| {
        let layer = name.strip_suffix(suffix)?;
        layer.starts_with("model.layers.").then(|| layer.to_owned())
    };
    if let Some(layer) = of_layer(".mlp.gate.weight") {
        return whole(format!("{layer}.block_sparse_moe.gate.weight"));
    }
    let fused: [(&str, &[&str]); 2] = [
        (".mlp.experts.gate_up_proj", &["w1", "w3"]),
        (".mlp.experts.down_proj", &["w2"]),
    ];
    for (suffix, matrices) in fused {
        let (Some(layer), &[experts, rows, columns]) = (of_layer(suffix), shape) else {
            continue;
        };
        // A tensor without numbers could claim any number of experts.
        if experts * rows * columns == 0 || rows % matrices.len() != 0 {
            continue;
        }
        let rows = rows / matrices.len();
        let of_expert = |expert: usize| {
            let layer = &layer;
            matrices.iter().enumerate().map(move |(index, matrix)| {
                let place = Place {
                    stored: stored.to_owned(),
                    start: (expert * matrices.len() + index) * rows * columns,
                    shape: vec![rows, columns],
                };
                let name = format!("{layer}.block_sparse_moe.experts.{expert}.{matrix}.weight");
                (name, place)
            })
        };
        return (0..experts).flat_map(of_expert).collect();
    }
    whole(name)
}

/// What stands before `layers.` in the names of an adapter's tensors, all of them wrapped alike: `model.` usually.
///
/// # Errors
///
/// The two spellings, when there are several.
pub fn before_layers<'a>(names: impl Iterator<Item = &'a str>) -> Result<String, [String; 2]> {
    let before = |name: &'a str| match name.find("layers.") {
        Some(0) => Some(""),
        Some(at) if name[..at].ends_with('.') => Some(&name[..at]),
        _ => None,
    };
    let found: BTreeSet<&str> = names.filter_map(before).collect();
    let mut found = found.into_iter().map(str::to_owned);
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => Err([first, second]),
        (first, _) => Ok(first.unwrap_or_else(|| "model.".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(stored: &[&str]) -> Result<Vec<String>> {
        let shape: &[usize] = &[4, 2];
        let tensors = stored.iter().map(|&name| (name, shape));
        Ok(places(Path::new("m"), tensors)?.into_keys().collect())
    }

    #[test]
    fn every_spelling_has_the_usual_names() -> Result<()> {
        let usual = [
            "lm_head.weight",
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "model.norm.weight",
        ];
        assert_eq!(names(&usual)?, usual);
        for (body, head) in [
            ("", ""),
            ("_orig_mod.model.", "_orig_mod."),
            ("module.model.", "module."),
            ("module._orig_mod.model.", "module._orig_mod."),
            ("_fsdp_wrapped_module.model.", "_fsdp_wrapped_module."),
            ("base_model.model.model.", "base_model.model."),
            ("language_model.model.", "language_model."),
            ("model.language_model.", ""),
        ] {
            let spelled = [
                format!("{head}lm_head.weight"),
                format!("{body}embed_tokens.weight"),
                format!("{body}layers.0._fsdp_wrapped_module.self_attn._orig_mod.q_proj.weight"),
                format!("{body}norm.weight"),
            ];
            assert_eq!(names(&spelled.each_ref().map(String::as_str))?, usual);
        }
        Ok(())
    }

    #[test]
    fn what_belongs_to_nothing_known_keeps_its_name() -> Result<()> {
        let found = names(&[
            "model.language_model.embed_tokens.weight",
            "model.visual.blocks.0.attn.qkv.weight",
        ])?;
        assert_eq!(found[0], "model.embed_tokens.weight");
        assert_eq!(found[1], "model.visual.blocks.0.attn.qkv.weight");
        Ok(())
    }

    #[test]
    fn two_tensors_with_one_name_are_refused_by_their_names() {
        let embeddings = names(&["a.embed_tokens.weight", "b.embed_tokens.weight"]);
        let heads = names(&[
            "module.model.embed_tokens.weight",
            "module.lm_head.weight",
            "lm_head.weight",
        ]);
        for (refused, words) in [
            (embeddings, ["`a.embed_tokens", "`b.embed_tokens"]),
            (heads, ["`module.lm_head", "`lm_head"]),
        ] {
            let message = refused.err().map(|error| error.to_string());
            let message = message.unwrap_or_default();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    }

    #[test]
    fn fused_experts_are_parts_of_their_tensor() -> Result<()> {
        let fused: [(&str, &[usize]); 3] = [
            ("model.embed_tokens.weight", &[4, 2]),
            ("model.layers.0.mlp.experts.gate_up_proj", &[3, 10, 2]),
            ("model.layers.0.mlp.experts.down_proj", &[3, 2, 5]),
        ];
        let places = places(Path::new("m"), fused.into_iter())?;
        let at = |name: &str| {
            let place = &places[&format!("model.layers.0.block_sparse_moe.experts.{name}.weight")];
            (place.start, place.shape.clone())
        };
        assert_eq!(at("0.w1"), (0, vec![5, 2]));
        assert_eq!(at("0.w3"), (10, vec![5, 2]));
        assert_eq!(at("2.w1"), (40, vec![5, 2]));
        assert_eq!(at("2.w2"), (20, vec![2, 5]));
        assert_eq!(places.len(), 1 + 3 * 3);
        Ok(())
    }
}
