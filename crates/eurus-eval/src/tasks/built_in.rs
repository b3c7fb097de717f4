//! The tasks of the paper.

/// Name and file of each, in the order in which they are listed.
pub(super) const TASKS: &[(&str, &str)] = &[
    ("humaneval", include_str!("../../tasks/humaneval.toml")),
    ("mbpp", include_str!("../../tasks/mbpp.toml")),
    ("leetcode", include_str!("../../tasks/leetcode.toml")),
    ("gsm8k", include_str!("../../tasks/gsm8k.toml")),
    ("gsmplus", include_str!("../../tasks/gsmplus.toml")),
    ("math", include_str!("../../tasks/math.toml")),
    ("theoremqa", include_str!("../../tasks/theoremqa.toml")),
    ("svamp", include_str!("../../tasks/svamp.toml")),
    ("asdiv", include_str!("../../tasks/asdiv.toml")),
    ("bbh", include_str!("../../tasks/bbh.toml")),
    ("ifeval", include_str!("../../tasks/ifeval.toml")),
    ("mmlu", include_str!("../../tasks/mmlu.toml")),
    ("mint", include_str!("../../tasks/mint.toml")),
    ("mtbench", include_str!("../../tasks/mtbench.toml")),
];
