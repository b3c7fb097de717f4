//! The names of llama.cpp's tensors and those of Hugging Face files.

/// Factors of the rotary frequencies, which Hugging Face computes from settings.
pub const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The Hugging Face name of a tensor of a GGUF file.
pub enum Name {
    /// One tensor.
    One(String),
    /// All experts of a layer: `prefix.0.suffix`, `prefix.1.suffix` and so on.
    Experts { prefix: String, suffix: String },
    /// It has no counterpart.
    Unknown,
}

impl Name {
    /// The one name; a tensor without a counterpart keeps its own, under which it is reported as left over.
    pub fn plain(self, own: &str) -> String {
        match self {
            Self::One(name) => name,
            Self::Experts { .. } | Self::Unknown => own.to_owned(),
        }
    }
}

/// The parts of a layer.
const LAYER: [(&str, &str); 12] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("ffn_gate_inp", "block_sparse_moe.gate"),
];

/// The parts of all experts of a layer, one behind the other.
const EXPERTS: [(&str, &str); 3] = [
    ("ffn_gate_exps", "w1"),
    ("ffn_down_exps", "w2"),
    ("ffn_up_exps", "w3"),
];

/// The layer, part and kind (`weight` or `bias`) of `blk.3.attn_q.weight`.
pub fn in_layer(name: &str) -> Option<(usize, &str, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    // `+3` and `03` are numbers too, but no names.
    let number: usize = layer.parse().ok()?;
    (number.to_string() == layer).then_some((number, part, kind))
}

/// The Hugging Face name of a tensor.
pub fn hugging_face(name: &str) -> Name {
    let whole = match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => return part_of_layer(name).unwrap_or(Name::Unknown),
    };
    Name::One(whole.to_owned())
}

fn part_of_layer(name: &str) -> Option<Name> {
    let (layer, part, kind) = in_layer(name)?;
    let find = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(gguf, _)| *gguf == part)?;
        Some(found.1)
    };
    if let Some(part) = find(&LAYER) {
        return Some(Name::One(format!("model.layers.{layer}.{part}.{kind}")));
    }
    let part = find(&EXPERTS)?;
    Some(Name::Experts {
        prefix: format!("model.layers.{layer}.block_sparse_moe.experts"),
        suffix: format!("{part}.{kind}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_counterpart_each() {
        let plain = |name: &str| hugging_face(name).plain(name);
        assert_eq!(
            plain("blk.11.attn_q.bias"),
            "model.layers.11.self_attn.q_proj.bias"
        );
        assert_eq!(
            plain("blk.0.ffn_norm.weight"),
            "model.layers.0.post_attention_layernorm.weight"
        );
        assert_eq!(plain("output.weight"), "lm_head.weight");
        assert_eq!(plain("blk.03.attn_q.weight"), "blk.03.attn_q.weight");
        assert_eq!(plain("blk.3.attn_z.weight"), "blk.3.attn_z.weight");
        let Name::Experts { prefix, suffix } = hugging_face("blk.2.ffn_down_exps.weight") else {
            panic!("not experts");
        };
        assert_eq!(
            format!("{prefix}.5.{suffix}"),
            "model.layers.2.block_sparse_moe.experts.5.w2.weight"
        );
    }
}
