//! Adapters on a model that does not know the tokens of its chat template.

use eurus::forest::ChatTokenizer;
use eurus::models::lora::{Adapted, SavedModule};
use eurus::models::untrained_tokens;

/// A warning, if tokens of the template look untrained in a matrix that is not trained beside the adapters: their vectors show
/// it, or they are `new` to the model.
pub fn warning(
    tokenizer: &ChatTokenizer,
    new: &[u32],
    model: &impl Adapted,
    trained: &[SavedModule],
) -> Option<String> {
    let template = tokenizer.template_tokens().ok()?;
    let modules = SavedModule::ALL.into_iter();
    let left: Vec<_> = modules
        .filter(|module| !trained.contains(module))
        .filter_map(|module| Some((module, model.saved_module(module)?)))
        .collect();

    let mut modules = trained.to_vec();
    let mut signs: Vec<(String, Vec<u32>)> = Vec::new();
    for (module, weight) in left {
        let found = untrained_tokens(&weight, &template);
        for &token in &template {
            let sign = match found.iter().find(|(known, _)| *known == token) {
                Some((_, sign)) => sign.to_string(),
                None if new.contains(&token) => {
                    "the model comes with no template that writes them".to_owned()
                }
                None => continue,
            };
            modules.push(module);
            match signs.iter_mut().find(|(known, _)| *known == sign) {
                Some((_, tokens)) => tokens.push(token),
                None => signs.push((sign, vec![token])),
            }
        }
    }
    modules.sort_unstable();
    modules.dedup();
    for (_, tokens) in &mut signs {
        tokens.sort_unstable();
        tokens.dedup();
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
    let names: Vec<_> = modules.iter().map(|module| module.name()).collect();
    Some(format!(
        "warning: the chat template writes tokens that look untrained: {}; adapters leave the vectors of tokens as they are, so \
         train them beside the adapters (--modules-to-save {}), or train all weights (without --lora-rank)",
        tokens.join("; "),
        names.join(",")
    ))
}
