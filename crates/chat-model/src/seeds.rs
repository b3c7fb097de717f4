//! What a call says of seeds beside its body.

/// The header in which a call says the seed of its request, as its caller gave it.
///
/// In the body stands the seed of the first sample, for servers that give their j-th choice the seed plus j. A server that heeds
/// this header and [`FIRST_SAMPLE_HEADER`] can draw what a model in the caller's process draws; others never look at it.
pub const SEED_HEADER: &str = "x-sampling-seed";

/// The header in which a call says the index of its first sample.
pub const FIRST_SAMPLE_HEADER: &str = "x-sampling-first";
