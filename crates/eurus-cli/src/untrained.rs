//! Adapters on a model that does not know the tokens of its chat template.

use eurus::forest::ChatTokenizer;
use eurus::models::Decoder;

/// A warning, if tokens of the template look untrained: their vectors show it, or they are `new` to the model.
pub fn warning(tokenizer: &ChatTokenizer, new: &[u32], model: &Decoder) -> Option<String> {
    let template = tokenizer.template_tokens().ok()?;
    let mut signs: Vec<(String, Vec<u32>)> = Vec::new();
    let mut add =
        |sign: String, token: u32| match signs.iter_mut().find(|(known, _)| *known == sign) {
            Some((_, tokens)) => tokens.push(token),
            None => signs.push((sign, vec![token])),
        };
    let found = model.untrained_tokens(&template);
    for &token in &template {
        if let Some((_, sign)) = found.iter().find(|(known, _)| *known == token) {
            add(sign.to_string(), token);
        } else if new.contains(&token) {
            add(
                "the model comes with no template that writes them".to_owned(),
                token,
            );
        }
    }
    if signs.is_empty() {
        return None;
    }
    let spelled = |tokens: &[u32]| -> String {
        let names = tokens
            .iter()
            .map(|&id| format!("`{}`", tokenizer.token(id).unwrap_or_default()));
        names.collect::<Vec<_>>().join(", ")
    };
    let tokens: Vec<String> = signs
        .iter()
        .map(|(sign, tokens)| format!("{} ({sign})", spelled(tokens)))
        .collect();
    Some(format!(
        "warning: the chat template writes tokens that look untrained: {}; adapters leave the vectors of tokens as they are, so \
         train them beside the adapters (--modules-to-save embed_tokens,lm_head), or train all weights (without --lora-rank)",
        tokens.join("; ")
    ))
}
