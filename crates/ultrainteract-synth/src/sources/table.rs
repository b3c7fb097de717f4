//! The table of sources.

use std::fmt;
use std::str::FromStr;

use ultrainteract::Task;

use crate::{Error, Result};
use ultrainteract::nearest::nearest;

/// One of the twelve data sets that UltraInteract takes its problems from (arXiv 2404.02078, appendix A.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Grade-school word problems.
    Gsm8k,
    /// Competition mathematics.
    Math,
    /// Word problems with operation programs.
    MathQa,
    /// Tasks that need simple arithmetic.
    NumGlue,
    /// Word problems over a table.
    TabMwp,
    /// Competitive programming.
    CodeContests,
    /// Algorithmic programming of several sites.
    Taco,
    /// Questions about tables of Wikipedia.
    WikiTableQuestions,
    /// Instructions to write code, with answers that nothing checks.
    Magicoder,
    /// Reading comprehension of admission tests.
    ReClor,
    /// Questions that take two articles to answer.
    HotpotQa,
    /// Yes-no questions that take a strategy.
    StrategyQa,
}

/// What is known of a source before a file of it is read.
#[derive(Debug, Clone, Copy)]
pub struct SourceInfo {
    /// The source.
    pub source: Source,
    /// The name that it is asked for by.
    pub name: &'static str,
    /// What the released rows call it in `dataset`; our own spelling for TabMWP, ReClor and StrategyQA, whose is not known.
    pub dataset: &'static str,
    /// Where it is published: a repository of GitHub, a data set of the Hugging Face Hub, or a site.
    pub published: &'static str,
    /// The fields that are read.
    pub fields: &'static str,
    /// The tasks that its problems were asked as.
    pub tasks: &'static [Task],
    /// What its actions are judged by.
    pub gold: &'static str,
    /// Rows that are left out, or that are judged too strictly.
    pub not_judgeable: &'static str,
}

/// A mathematics problem asked both ways.
const BOTH: &[Task] = &[Task::MathCot, Task::MathPot];

/// Every source.
pub const SOURCES: [SourceInfo; 12] = [
    SourceInfo {
        source: Source::Gsm8k,
        name: "gsm8k",
        dataset: "gsm8k",
        published: "github openai/grade-school-math, hub openai/gsm8k",
        fields: "question, answer",
        tasks: BOTH,
        gold: "the number after ####",
        not_judgeable: "rows without ####",
    },
    SourceInfo {
        source: Source::Math,
        name: "math",
        dataset: "MATH",
        published: "github hendrycks/math, hub hendrycks/competition_math",
        fields: "problem, solution",
        tasks: BOTH,
        gold: "the last \\boxed{} of the solution",
        not_judgeable: "rows without \\boxed{}",
    },
    SourceInfo {
        source: Source::MathQa,
        name: "mathqa",
        dataset: "mathqa",
        published: "math-qa.github.io, hub allenai/math_qa",
        fields: "Problem, Rationale, options, correct, annotated_formula, category",
        tasks: BOTH,
        gold: "the text of the right option, asked without options",
        not_judgeable: "rows whose right option is `none of these` or the like",
    },
    SourceInfo {
        source: Source::NumGlue,
        name: "numglue",
        dataset: "numglue",
        published: "github allenai/numglue",
        fields: "type, question, answer, Option1, Option2",
        tasks: BOTH,
        gold: "the answer; of type 3 one of two choices",
        not_judgeable: "types 5, 6 and 7, which the paper left out",
    },
    SourceInfo {
        source: Source::TabMwp,
        name: "tabmwp",
        dataset: "tabmwp",
        published: "github lupantech/PromptPG",
        fields: "question, choices, answer, unit, table_title, table, grade",
        tasks: &[Task::MathPot],
        gold: "the answer, or one of the choices",
        not_judgeable: "grades other than 4 and 5, our reading of the paper's difficulty",
    },
    SourceInfo {
        source: Source::CodeContests,
        name: "codecontests",
        dataset: "codecontest",
        published: "github google-deepmind/code_contests, hub deepmind/code_contests",
        fields: "name, description, public_tests, private_tests, generated_tests, solutions, time_limit, \
                 memory_limit_bytes, input_file, output_file",
        tasks: &[Task::Coding],
        gold: "all tests, by standard input and output",
        not_judgeable: "rows without tests or that read and write files; where several outputs are right, only the listed \
                        one passes",
    },
    SourceInfo {
        source: Source::Taco,
        name: "taco",
        dataset: "TACO",
        published: "github FlagOpen/TACO, hub BAAI/TACO",
        fields: "question, starter_code, solutions, input_output, time_limit, memory_limit",
        tasks: &[Task::Coding],
        gold: "the tests, by standard input and output or by calls of `fn_name`",
        not_judgeable: "rows without tests, for which the authors had inputs written by a model; where several outputs are \
                        right, only the listed one passes",
    },
    SourceInfo {
        source: Source::WikiTableQuestions,
        name: "wikitablequestions",
        dataset: "wiki_table_questions",
        published: "github ppasupat/WikiTableQuestions, hub Stanford/wikitablequestions",
        fields: "id, utterance, context, targetValue; on the Hub question, answers, table",
        tasks: &[Task::Coding],
        gold: "the answers as a list",
        not_judgeable: "several answers of which one has a comma, and rows whose table is not there",
    },
    SourceInfo {
        source: Source::Magicoder,
        name: "magicoder",
        dataset: "magicoder_evol_instruct",
        published: "hub ise-uiuc/Magicoder-Evol-Instruct-110K",
        fields: "instruction, response",
        tasks: &[Task::Coding],
        gold: "nothing",
        not_judgeable: "all of it; of use for fine-tuning alone",
    },
    SourceInfo {
        source: Source::ReClor,
        name: "reclor",
        dataset: "reclor",
        published: "whyu.me/reclor, hub metaeval/reclor",
        fields: "context, question, answers, label, id_string",
        tasks: &[Task::Logic],
        gold: "one of four choices",
        not_judgeable: "rows of the test split, which have no label",
    },
    SourceInfo {
        source: Source::HotpotQa,
        name: "hotpotqa",
        dataset: "hotpotqa",
        published: "hotpotqa.github.io, hub hotpotqa/hotpot_qa",
        fields: "_id or id, question, answer",
        tasks: &[Task::Logic],
        gold: "the answer, a few words",
        not_judgeable: "rows of the test split, which have no answer; other spellings of a name do not pass",
    },
    SourceInfo {
        source: Source::StrategyQa,
        name: "strategyqa",
        dataset: "strategyqa",
        published: "allenai.org/data/strategyqa",
        fields: "qid, question, answer",
        tasks: &[Task::Logic],
        gold: "yes or no",
        not_judgeable: "rows of the test split, which have no answer",
    },
];

impl Source {
    /// What is known of it.
    pub fn info(self) -> &'static SourceInfo {
        // The table is in the order of the enum, which a test sees to.
        &SOURCES[self as usize]
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.info().name)
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let names = SOURCES.map(|info| info.name);
        SOURCES
            .iter()
            .find(|info| info.name.eq_ignore_ascii_case(name))
            .map(|info| info.source)
            .ok_or_else(|| {
                let meant = match nearest(name, &names) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("known are {}", names.join(", ")),
                };
                Error::import(format!("source `{name}`"), format!("is not known; {meant}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_sources() {
        for (index, info) in SOURCES.iter().enumerate() {
            assert_eq!(info.source as usize, index);
            assert_eq!(info.name.parse::<Source>().unwrap(), info.source);
            assert_eq!(info.source.info().name, info.name);
        }
    }

    #[test]
    fn an_unknown_source_is_refused_with_the_nearest() {
        let error = "math-qa".parse::<Source>().unwrap_err().to_string();
        assert_eq!(
            error,
            "source `math-qa`: is not known; did you mean `mathqa`?"
        );
    }
}
