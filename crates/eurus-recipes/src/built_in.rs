//! The recipes of the paper, and those beside them.

/// Name and file of each, in the order in which they are listed.
pub(crate) const RECIPES: &[(&str, &str)] = &[
    ("eurus-7b-sft", include_str!("../recipes/eurus-7b-sft.toml")),
    ("eurus-7b-dpo", include_str!("../recipes/eurus-7b-dpo.toml")),
    ("eurus-7b-kto", include_str!("../recipes/eurus-7b-kto.toml")),
    ("eurus-7b-nca", include_str!("../recipes/eurus-7b-nca.toml")),
    (
        "eurus-70b-sft",
        include_str!("../recipes/eurus-70b-sft.toml"),
    ),
    (
        "eurus-70b-kto",
        include_str!("../recipes/eurus-70b-kto.toml"),
    ),
    (
        "eurus-70b-nca",
        include_str!("../recipes/eurus-70b-nca.toml"),
    ),
    ("eurus-rm-7b", include_str!("../recipes/eurus-rm-7b.toml")),
    (
        "eurus-rm-7b-without-ldr",
        include_str!("../recipes/eurus-rm-7b-without-ldr.toml"),
    ),
    (
        "eurus-rm-7b-without-bt",
        include_str!("../recipes/eurus-rm-7b-without-bt.toml"),
    ),
    (
        "eurus-rm-7b-without-us",
        include_str!("../recipes/eurus-rm-7b-without-us.toml"),
    ),
    (
        "eurus-rm-7b-without-uf-us",
        include_str!("../recipes/eurus-rm-7b-without-uf-us.toml"),
    ),
];

/// Recipes that are none of the paper's, and what they are for.
pub(crate) const OTHERS: &[(&str, &str)] =
    &[("small-eurus", include_str!("../recipes/small-eurus.toml"))];
