//! Sentences, as the Punkt model of English finds them (Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary
//! Detection", Computational Linguistics 32, 2006) in the form in which NLTK 3.8 applies it.
//!
//! A text may end a sentence at every `.`, `?` and `!`. The word before it and what follows are looked at:
//!
//! 1. By type: an ellipsis or a known abbreviation ends nothing, any other word with a period does.
//! 2. By the next word: a known collocation ends nothing; after an abbreviation or an ellipsis a sentence ends where
//!    the next word is written as only sentence beginnings are, or often begins sentences; after an initial or a
//!    number none ends where the next word is not written so.
//!
//! Closing quotes and brackets that follow the end belong to the sentence before.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::python::{SPACE, is_lower, is_space, is_upper, pattern, strip};

/// The spans of the sentences of an English text, in bytes.
pub fn sentence_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for candidate in candidates(text) {
        if contains_break(&text[candidate.context]) {
            spans.push(start..candidate.end);
            start = candidate.next_word.unwrap_or(candidate.end);
        }
    }
    spans.push(start..text.trim_end_matches(is_space).len());
    realigned(text, &spans)
}

/// The sentences of an English text.
///
/// ```
/// use eurus_eval::graders::ifeval::sentences;
///
/// assert_eq!(sentences("Mr. Smith left. \"Why?\" Nobody knew."), ["Mr. Smith left.", "\"Why?\"", "Nobody knew."]);
/// ```
pub fn sentences(text: &str) -> Vec<&str> {
    let spans = sentence_spans(text).into_iter();
    spans.map(|span| slice(text, span)).collect()
}

/// A place where a sentence may end.
struct Candidate {
    /// The word before, the sign itself and what follows.
    context: Range<usize>,
    /// The end of the sign.
    end: usize,
    /// Where the next word begins; nothing where punctuation follows.
    next_word: Option<usize>,
}

/// Of the signs after one word only the last counts.
fn candidates(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    // The word before the sign that came last.
    let mut word = 0..0;
    for (at, _) in text.match_indices(is_ending) {
        let end = at + 1;
        let Some((context_end, next_word)) = what_follows(text, end) else {
            continue;
        };
        let space = text[word.end..at].rfind(|character: char| {
            // NLTK looks here for the white space of ASCII alone, and takes none for a space in the first place.
            matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
        });
        let start = match space {
            Some(space) if space > 0 => word.end + space + 1,
            _ => word.start,
        };
        if start < word.end {
            found.pop();
        }
        word = start..at;
        found.push(Candidate {
            context: start..context_end,
            end,
            next_word,
        });
    }
    found
}

/// The end of what follows a sign, and where the next word begins; nothing where the sign stands inside a word.
fn what_follows(text: &str, end: usize) -> Option<(usize, Option<usize>)> {
    let rest = &text[end..];
    let next = rest.chars().next()?;
    if is_non_word(next) {
        return Some((end + next.len_utf8(), None));
    }
    let trimmed = rest.trim_start_matches(is_space);
    if trimmed.len() == rest.len() || trimmed.is_empty() {
        return None;
    }
    let word_start = text.len() - trimmed.len();
    let word_len = trimmed.find(is_space).unwrap_or(trimmed.len());
    Some((word_start + word_len, Some(word_start)))
}

/// Moves closing quotes and brackets from the beginning of a sentence to the end of the one before.
fn realigned(text: &str, spans: &[Range<usize>]) -> Vec<Range<usize>> {
    static CLOSING: LazyLock<Regex> =
        LazyLock::new(|| pattern(&format!(r#"(?m)\A["')\]}}]+?(?:{SPACE}+|(--)|$)"#)));
    let mut aligned = Vec::new();
    let mut moved = 0;
    for (index, span) in spans.iter().enumerate() {
        let start = span.start + moved;
        moved = 0;
        if let Some(next) = spans.get(index + 1)
            && let Some(found) = CLOSING.captures(slice(text, next.clone()))
        {
            // Dashes only have to follow.
            let dashes = found.get(1).map_or(0, |dashes| dashes.len());
            let closing = &found[0][..found[0].len() - dashes];
            moved = closing.len();
            aligned.push(start..next.start + closing.trim_end_matches(is_space).len());
            continue;
        }
        if !slice(text, start..span.end).is_empty() {
            aligned.push(start..span.end);
        }
    }
    aligned
}

/// As Python slices: nothing where the end lies before the start.
fn slice(text: &str, span: Range<usize>) -> &str {
    text.get(span).unwrap_or_default()
}

/// Whether a sentence ends in a text before its last word.
fn contains_break(text: &str) -> bool {
    let lines = text.split('\n').filter(|line| !strip(line).is_empty());
    let mut words: Vec<Word> = lines.flat_map(tokens).map(Word::new).collect();
    for index in 1..words.len() {
        let (before, after) = words.split_at_mut(index);
        if let ([.., word], [next, ..]) = (before, after) {
            word.reconsider(next);
            if word.ends_sentence {
                return true;
            }
        }
    }
    false
}

/// A word, and what is thought of the period at its end.
struct Word<'a> {
    text: &'a str,
    /// In lower case, every number the same.
    kind: String,
    is_abbreviation: bool,
    is_ellipsis: bool,
    ends_sentence: bool,
}

/// The kind of all numbers, as the parameters write it.
const NUMBER: &str = "##number##";

/// Whether a word is written as only the beginnings of sentences are.
#[derive(PartialEq)]
enum BeginsSentence {
    Yes,
    No,
    Unknown,
}

impl<'a> Word<'a> {
    /// What the word alone says.
    fn new(text: &'a str) -> Self {
        static NUMERIC: LazyLock<Regex> = LazyLock::new(|| pattern(r"^-?[.,]?\p{Nd}[\p{Nd},.-]*$"));
        let lower = text.to_lowercase();
        let is_dots = text.bytes().all(|byte| byte == b'.');
        let is_ellipsis = is_dots && text.len() > 1;
        let mut is_abbreviation = false;
        let mut ends_sentence = matches!(text, "." | "?" | "!");
        if let Some(stem) = lower.strip_suffix('.')
            && !ends_sentence
            && !text.ends_with("..")
        {
            let last_part = stem.rsplit('-').next().unwrap_or(stem);
            let known = &PARAMETERS.abbreviations;
            is_abbreviation = known.contains(stem) || known.contains(last_part);
            ends_sentence = !is_abbreviation;
        }
        let kind = match NUMERIC.is_match(&lower) {
            true => NUMBER.to_owned(),
            false => lower,
        };
        Self {
            text,
            kind,
            is_abbreviation,
            is_ellipsis,
            ends_sentence,
        }
    }

    /// What the next word says besides.
    fn reconsider(&mut self, next: &Self) {
        static INITIAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\p{L}\p{Nl}\p{No}_]\.$"));
        if !self.text.ends_with('.') {
            return;
        }
        let kind = self.kind_without_period();
        let next_kind = next.kind_in_context();
        let collocations = PARAMETERS.collocations.get(kind);
        if collocations.is_some_and(|seconds| seconds.contains(next_kind)) {
            self.ends_sentence = false;
            return;
        }
        let begins_sentence = next.begins_sentence();
        let is_initial = INITIAL.is_match(self.text);
        if (self.is_abbreviation || self.is_ellipsis) && !is_initial {
            let is_starter =
                next.begins_upper() && PARAMETERS.sentence_starters.contains(next_kind);
            if begins_sentence == BeginsSentence::Yes || is_starter {
                self.ends_sentence = true;
                return;
            }
        }
        let is_name = is_initial
            && begins_sentence == BeginsSentence::Unknown
            && next.begins_upper()
            && contexts(next_kind) & LOWER == 0;
        if ((is_initial || kind == NUMBER) && begins_sentence == BeginsSentence::No) || is_name {
            self.ends_sentence = false;
        }
    }

    fn kind_without_period(&self) -> &str {
        match self.kind.len() {
            1 => &self.kind,
            _ => self.kind.strip_suffix('.').unwrap_or(&self.kind),
        }
    }

    /// The period belongs to the word where it ends no sentence.
    fn kind_in_context(&self) -> &str {
        match self.ends_sentence {
            true => self.kind_without_period(),
            false => &self.kind,
        }
    }

    fn begins_sentence(&self) -> BeginsSentence {
        if matches!(self.text, ";" | ":" | "," | "." | "!" | "?") {
            return BeginsSentence::No;
        }
        let contexts = contexts(self.kind_in_context());
        if self.begins_upper() && contexts & LOWER != 0 && contexts & UPPER_INSIDE == 0 {
            return BeginsSentence::Yes;
        }
        let begins_lower = is_lower(first_character(self.text));
        if begins_lower && (contexts & UPPER != 0 || contexts & LOWER_AT_BEGINNING == 0) {
            return BeginsSentence::No;
        }
        BeginsSentence::Unknown
    }

    fn begins_upper(&self) -> bool {
        is_upper(first_character(self.text))
    }
}

fn first_character(text: &str) -> &str {
    let end = text.chars().next().map_or(0, char::len_utf8);
    &text[..end]
}

/// Words and punctuation of a line; periods stay with their words.
fn tokens(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let len = match multi_character(rest) {
            0 if can_begin_word(first) => word_len(rest, first.len_utf8()),
            0 => first.len_utf8(),
            len => len,
        };
        found.push(&rest[..len]);
        rest = rest[len..].trim_start_matches(is_space);
    }
    found
}

/// Up to white space, punctuation, or a comma that such follows.
fn word_len(text: &str, first_len: usize) -> usize {
    let ends = |rest: &str| {
        let next = rest.chars().next();
        next.is_none_or(|next| is_space(next) || is_non_word(next)) || multi_character(rest) > 0
    };
    let mut len = first_len;
    while let Some(next) = text[len..].chars().next() {
        let rest = &text[len..];
        if ends(rest) || rest.strip_prefix(',').is_some_and(ends) {
            break;
        }
        len += next.len_utf8();
    }
    len
}

/// The length of a dash or an ellipsis, of which the dots may stand apart; 0 for none.
fn multi_character(text: &str) -> usize {
    let run = |sign: char| text.len() - text.trim_start_matches(sign).len();
    let run = run('-').max(run('.'));
    if run > 1 {
        return run;
    }
    let mut end = 0;
    let mut dots = 0;
    let mut rest = text;
    while let Some(after) = rest.strip_prefix('.') {
        dots += 1;
        end = text.len() - after.len();
        match after.chars().next() {
            Some(space) if is_space(space) => rest = &after[space.len_utf8()..],
            _ => break,
        }
    }
    match dots > 2 {
        true => end,
        false => 0,
    }
}

fn is_ending(character: char) -> bool {
    matches!(character, '.' | '?' | '!')
}

/// What cannot stand in a word.
fn is_non_word(character: char) -> bool {
    matches!(
        character,
        ')' | '"' | ';' | '}' | ']' | '*' | ':' | '@' | '\'' | '(' | '{' | '[' | '?' | '!'
    )
}

fn can_begin_word(character: char) -> bool {
    !matches!(
        character,
        '(' | '"'
            | '`'
            | '{'
            | '['
            | ':'
            | ';'
            | '&'
            | '#'
            | '*'
            | '@'
            | ')'
            | '}'
            | ']'
            | '-'
            | ','
    )
}

/// A word was seen with an upper-case first letter inside a sentence.
const UPPER_INSIDE: u8 = 4;
/// Anywhere: at the beginning of a sentence, inside, in an unknown place.
const UPPER: u8 = 2 | 4 | 8;
/// With a lower-case first letter at the beginning of a sentence.
const LOWER_AT_BEGINNING: u8 = 16;
/// Anywhere.
const LOWER: u8 = 16 | 32 | 64;

/// In which places a word was seen in which case, as flags.
fn contexts(kind: &str) -> u8 {
    PARAMETERS.contexts.get(kind).copied().unwrap_or_default()
}

/// What the model learned from newspapers.
#[derive(Default)]
struct Parameters {
    abbreviations: HashSet<&'static str>,
    collocations: HashMap<&'static str, HashSet<&'static str>>,
    sentence_starters: HashSet<&'static str>,
    contexts: HashMap<&'static str, u8>,
}

static PARAMETERS: LazyLock<Parameters> =
    LazyLock::new(|| parameters(include_str!("../../../data/punkt-english.txt")));

fn parameters(file: &'static str) -> Parameters {
    let mut parameters = Parameters::default();
    let mut section = "";
    for line in file.lines() {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let (first, second) = line.split_once(' ').unwrap_or((line, ""));
        match section {
            // One of them is two dots, with the spaces after them.
            "[abbreviations]" => {
                parameters.abbreviations.insert(line);
            }
            "[collocations]" => {
                let seconds = parameters.collocations.entry(first).or_default();
                seconds.insert(second);
            }
            "[sentence starters]" => {
                parameters.sentence_starters.insert(line);
            }
            _ => {
                let flags = second.parse().expect("flags are a number below 128");
                parameters.contexts.insert(first, flags);
            }
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_whole() {
        assert_eq!(PARAMETERS.abbreviations.len(), 156);
        assert!(PARAMETERS.abbreviations.contains(". . "));
        assert_eq!(PARAMETERS.sentence_starters.len(), 39);
        let collocations = PARAMETERS.collocations.values();
        assert_eq!(collocations.map(HashSet::len).sum::<usize>(), 37);
        assert_eq!(PARAMETERS.contexts.len(), 14_702);
    }

    #[test]
    fn dots_that_stand_apart_are_one_ellipsis() {
        assert_eq!(
            tokens("a . . . b -- c..."),
            ["a", ". . .", "b", "--", "c", "..."]
        );
        assert_eq!(tokens("a, b (c,)"), ["a", ",", "b", "(", "c", ",", ")"]);
    }

    #[test]
    fn closing_signs_belong_to_the_sentence_before() {
        assert_eq!(sentences("(One.) Two."), ["(One.)", "Two."]);
        assert_eq!(
            sentences("He said \"No.\" She left."),
            ["He said \"No.\"", "She left."]
        );
    }
}
