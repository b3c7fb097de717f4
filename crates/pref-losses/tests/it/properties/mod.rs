//! Laws of the losses: identities between them, fixed points, monotony, stability, configuration.

mod batches;
mod configuration;
mod connections;
mod identities;
mod monotony;
mod own_losses;
mod parts;
mod scored;
mod stability;
mod stats;
mod support;
