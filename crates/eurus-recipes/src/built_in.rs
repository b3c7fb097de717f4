//! The recipes of the paper.

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        /// Name and file of each, in the order in which they are listed.
        pub(crate) const RECIPES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../recipes/", $name, ".toml"))),)*
        ];
    };
}

recipes!(
    "eurus-7b-sft",
    "eurus-7b-dpo",
    "eurus-7b-kto",
    "eurus-7b-nca",
    "eurus-70b-sft",
    "eurus-70b-kto",
    "eurus-70b-nca",
    "eurus-rm-7b",
    "eurus-rm-7b-without-ldr",
    "eurus-rm-7b-without-bt",
    "eurus-rm-7b-without-us",
    "eurus-rm-7b-without-uf-us",
);
