//! Logits of a checkpoint for given token ids, as JSON: one list per position.
//!
//! Compare a folder that was trained here with the same folder in another library:
//!
//! ```text
//! cargo run --release -p eurus-cli --example logits -- runs/dpo 1,9690,198 > logits.json
//! ```

use std::io::Write;

use eurus::burn::tensor::Device;
use eurus::forest::{PackedForest, TokenTree};
use eurus::models::{Checkpoint, ForestBatch, ForestBody, ForestModel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, ids] = arguments.as_slice() else {
        return Err("usage: logits FOLDER ID,ID,...".into());
    };
    let ids = ids
        .split(',')
        .map(str::parse)
        .collect::<Result<Vec<u32>, _>>()?;

    let device = Device::flex();
    let (model, config) = Checkpoint::new(folder).decoder(&device)?;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= config.vocab_size) {
        return Err(format!(
            "token id {id} is outside the vocabulary of {}",
            config.vocab_size
        )
        .into());
    }
    // A plain sequence is a forest of one tree with one node.
    let forest = PackedForest::from_trees([&TokenTree::new(ids, false)])?;
    let hidden = model.hidden_states(&ForestBatch::new(forest, &device));
    let logits = hidden.matmul(model.output_weight().transpose());

    let values: Vec<f32> = logits.into_data().iter().collect();
    let rows: Vec<&[f32]> = values.chunks(config.vocab_size).collect();
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&rows)?)?;
    Ok(())
}
