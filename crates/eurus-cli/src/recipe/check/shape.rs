//! The shape of a recipe's model.

use std::path::Path;

use anyhow::{Result, anyhow};
use eurus::models::DecoderConfig;
use eurus::recipes::{Recipe, Shape};

pub fn base(recipe: &Recipe) -> &str {
    let model = recipe.file().model.as_ref();
    model.map_or("", |model| model.base.as_str())
}

/// The shape of the model: that of the folder, of what is made to practice with, or what the recipe says.
pub fn of(recipe: &Recipe) -> Result<DecoderConfig> {
    let folder = Path::new(base(recipe));
    if folder.is_dir() {
        return Ok(DecoderConfig::from_folder(folder)?);
    }
    let file = recipe.file();
    if let (Some(made), "practice") = (&file.practice, base(recipe)) {
        let number = |value: Option<u64>, default: u64| count(value.unwrap_or(default));
        let heads = number(made.heads, 6).max(1);
        return Ok(DecoderConfig {
            max_position_embeddings: number(made.context, 512),
            ..DecoderConfig::llama(
                number(made.vocabulary, 600),
                number(made.hidden_size, 96),
                number(made.layers, 2),
                heads,
            )
        });
    }
    let shape = file.model.as_ref().and_then(|model| model.shape.as_ref());
    let shape = shape.ok_or_else(|| {
        anyhow!(
            "the shape of the model `{}` is unknown: its folder is not here, and the recipe has no [model.shape]; give one of them",
            base(recipe)
        )
    })?;
    config(shape)
}

pub fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// More than any model has, so that products of such numbers are numbers.
const MOST: u64 = 1 << 24;

fn config(shape: &Shape) -> Result<DecoderConfig> {
    let named = [
        ("hidden_size", shape.hidden_size),
        ("intermediate_size", shape.intermediate_size),
        ("layers", shape.layers),
        ("heads", shape.heads),
        ("kv_heads", shape.kv_heads),
        ("vocab_size", shape.vocab_size),
        ("context", shape.context),
    ];
    if let Some((name, value)) = named
        .into_iter()
        .find(|(_, value)| !(1..=MOST).contains(value))
    {
        return Err(anyhow!(
            "`model.shape.{name}` is {value}; it must be 1 to {MOST}"
        ));
    }
    if !shape.hidden_size.is_multiple_of(shape.heads) || !shape.heads.is_multiple_of(shape.kv_heads)
    {
        return Err(anyhow!(
            "`model.shape`: {} heads with {} of keys and values do not share a hidden size of {}",
            shape.heads,
            shape.kv_heads,
            shape.hidden_size
        ));
    }
    Ok(DecoderConfig {
        intermediate_size: count(shape.intermediate_size),
        kv_heads: count(shape.kv_heads),
        sliding_window: shape.sliding_window.map(count),
        max_position_embeddings: count(shape.context),
        tie_word_embeddings: false,
        ..DecoderConfig::llama(
            count(shape.vocab_size),
            count(shape.hidden_size),
            count(shape.layers),
            count(shape.heads),
        )
    })
}
