//! IFEval: whether an answer follows instructions that a program can check (arXiv 2311.07911).
//!
//! A prompt carries one to three of 25 instructions, each a function of the answer and its arguments. The answer is taken
//! as it is (*strict*), or (*loose*) in any of eight forms: with or without its first line, its last line and all asterisks.
//! A prompt is followed when all its instructions are, loosely each in a form of its own. The figure of the paper is the
//! share of prompts followed loosely.
//!
//! | rule | `authors` | `fixed` | example |
//! | --- | --- | --- | --- |
//! | `keywords:letter_frequency` of a sign that is no letter | a letter drawn at random is counted; the released code draws anew in every run, here the draw depends on the answer alone | the sign is counted | `#` at least 4 times in `# a # b`: drawn `e` or any other letter; two |
//! | language of a text that could be one or another | the released detector changes its mind between runs; here it is seeded | the same | `OK` |
//!
//! Sentences are those of the Punkt model, words those of NLTK, both of English.
//!
//! ```
//! use eurus_eval::graders::{Rules, ifeval};
//! use serde_json::json;
//!
//! let arguments = [json!({}), json!({"relation": "at least", "num_words": 3})];
//! let arguments: Vec<_> = arguments.iter().filter_map(|value| value.as_object().cloned()).collect();
//! let instructions = ["punctuation:no_comma", "length_constraints:number_words"];
//!
//! let grade = ifeval::grade("Sure, here it is:\nOne two three", &instructions, &arguments, Rules::Authors)?;
//! assert_eq!(grade.followed.strict, [false, true]);
//! assert_eq!(grade.followed.loose, [true, true]);
//! assert!(grade.grade.is_correct());
//! # Ok::<(), eurus_eval::Error>(())
//! ```

mod arguments;
mod format;
mod keywords;
mod language;
mod length;
mod python;
mod sentences;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::language::language;
pub use self::python::is_upper;
pub use self::sentences::{sentence_spans, sentences};
pub use self::words::{word_count, words};

use self::arguments::Arguments;
use super::{Grade, Rules};
use crate::error::{Error, Result};

/// Whether an answer follows an instruction.
type Checker = fn(&Arguments<'_>, &str) -> Result<bool>;

/// The instructions, by the name that the data give them.
const CHECKERS: [(&str, Checker); 25] = [
    ("keywords:existence", keywords::existence),
    ("keywords:frequency", keywords::frequency),
    ("keywords:forbidden_words", keywords::forbidden_words),
    ("keywords:letter_frequency", keywords::letter_frequency),
    ("language:response_language", language::response_language),
    (
        "length_constraints:number_sentences",
        length::number_sentences,
    ),
    (
        "length_constraints:number_paragraphs",
        length::number_paragraphs,
    ),
    ("length_constraints:number_words", length::number_words),
    (
        "length_constraints:nth_paragraph_first_word",
        length::nth_paragraph_first_word,
    ),
    (
        "detectable_content:number_placeholders",
        format::number_placeholders,
    ),
    ("detectable_content:postscript", format::postscript),
    (
        "detectable_format:number_bullet_lists",
        format::number_bullet_lists,
    ),
    (
        "detectable_format:constrained_response",
        format::constrained_response,
    ),
    (
        "detectable_format:number_highlighted_sections",
        format::number_highlighted_sections,
    ),
    (
        "detectable_format:multiple_sections",
        format::multiple_sections,
    ),
    ("detectable_format:json_format", format::json_format),
    ("detectable_format:title", format::title),
    ("combination:two_responses", length::two_responses),
    ("combination:repeat_prompt", format::repeat_prompt),
    ("startend:end_checker", format::end_checker),
    ("startend:quotation", format::quotation),
    (
        "change_case:capital_word_frequency",
        language::capital_word_frequency,
    ),
    ("change_case:english_capital", language::english_capital),
    ("change_case:english_lowercase", language::english_lowercase),
    ("punctuation:no_comma", format::no_comma),
];

/// The names of all instructions.
pub fn instructions() -> impl Iterator<Item = &'static str> {
    CHECKERS.iter().map(|(name, _)| *name)
}

/// Whether an answer, as it is, follows an instruction. A blank one follows none.
///
/// # Errors
///
/// When no instruction has this name (the nearest is named), an argument is missing or of another type, or a keyword is no
/// regular expression.
pub fn instruction(
    name: &str,
    arguments: &Map<String, Value>,
    response: &str,
    rules: Rules,
) -> Result<bool> {
    let checker = CHECKERS.iter().find(|(known, _)| *known == name);
    let Some((_, checker)) = checker else {
        return Err(unknown(name));
    };
    let arguments = Arguments {
        instruction: name,
        values: arguments,
        rules,
    };
    // The checker runs for a blank answer too: an argument that is missing is an error whatever the answer.
    Ok(checker(&arguments, response)? && !python::is_blank(response))
}

/// Which instructions of a prompt an answer follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// Whether each instruction is followed by the answer as it is.
    pub strict: Vec<bool>,
    /// Whether each is followed by the answer in one of its eight forms.
    pub loose: Vec<bool>,
}

/// What is said of an answer to a prompt with instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IfevalGrade {
    /// The instructions one by one.
    pub followed: Followed,
    /// The grade of the prompt: all instructions are followed loosely.
    pub grade: Grade,
}

impl From<IfevalGrade> for Grade {
    fn from(IfevalGrade { followed, grade }: IfevalGrade) -> Self {
        Self {
            followed: Some(followed),
            ..grade
        }
    }
}

impl Followed {
    /// Whether all instructions are followed by the answer as it is.
    pub fn is_strict(&self) -> bool {
        self.strict.iter().all(|&is_followed| is_followed)
    }
}

/// Grades an answer to a prompt with these instructions, each with its arguments.
///
/// # Errors
///
/// When there are not as many arguments as instructions; else as [`instruction`].
pub fn grade<S: AsRef<str>>(
    response: &str,
    instructions: &[S],
    arguments: &[Map<String, Value>],
    rules: Rules,
) -> Result<IfevalGrade> {
    if instructions.len() != arguments.len() {
        return Err(Error::LengthMismatch {
            left: "the list of instructions",
            left_len: instructions.len(),
            right: "the list of their arguments",
            right_len: arguments.len(),
        });
    }
    let forms = forms(response);
    let mut strict = Vec::new();
    let mut loose = Vec::new();
    for (name, arguments) in instructions.iter().zip(arguments) {
        let mut followed = [false; FORMS];
        for (followed, form) in followed.iter_mut().zip(&forms) {
            *followed = instruction(name.as_ref(), arguments, form, rules)?;
            if *followed {
                break;
            }
        }
        strict.push(followed[0]);
        loose.push(followed.contains(&true));
    }
    let ignored = instructions.iter().zip(&loose);
    let ignored: Vec<&str> = ignored
        .filter(|(_, is_followed)| !**is_followed)
        .map(|(name, _)| name.as_ref())
        .collect();
    let why = match ignored.is_empty() {
        true => "every instruction is followed".to_owned(),
        false => format!("not followed: {}", ignored.join(", ")),
    };
    Ok(IfevalGrade {
        followed: Followed { strict, loose },
        grade: Grade::new(ignored.is_empty(), None, why),
    })
}

/// How many forms an answer is looked at in.
const FORMS: usize = 8;

/// An answer as it is, without its first line, its last, and both; each with and without asterisks.
fn forms(response: &str) -> [String; FORMS] {
    let lines: Vec<&str> = response.split('\n').collect();
    let joined = |lines: Option<&[&str]>| {
        let text = lines.unwrap_or_default().join("\n");
        python::strip(&text).to_owned()
    };
    let last = lines.len() - 1;
    let without_first = joined(lines.get(1..));
    let without_last = joined(lines.get(..last));
    let without_both = joined(lines.get(1..last));
    let plain = |text: &str| text.replace('*', "");
    [
        response.to_owned(),
        plain(response),
        plain(&without_first),
        plain(&without_last),
        plain(&without_both),
        without_first,
        without_last,
        without_both,
    ]
}

fn unknown(name: &str) -> Error {
    let similarity = |known: &&str| (1000.0 * strsim::jaro_winkler(known, name)) as u32;
    Error::UnknownInstruction {
        name: name.to_owned(),
        nearest: instructions().max_by_key(similarity).unwrap_or_default(),
    }
}
