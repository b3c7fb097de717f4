//! The one error type of this crate, and the helpers that say where a fault lies.

use std::path::{Path, PathBuf};

use crate::input::{Location, Place};
use crate::{NodeId, Task};

/// What can be wrong with a tree, a row or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- trees ----
    /// A text that must say something says nothing.
    #[error("the {what} is empty or blank; give it text")]
    EmptyText {
        /// Which text: "instruction", "action", ...
        what: &'static str,
    },

    /// A node id that this tree does not have.
    #[error("tree `{tree}` has no node {node}; it has {len} nodes")]
    UnknownNode {
        /// Id of the tree.
        tree: String,
        /// The id asked for.
        node: NodeId,
        /// Number of nodes in the tree.
        len: usize,
    },

    /// A child was put under a node that cannot have it.
    #[error(
        "in tree `{tree}`, {child} cannot follow node {parent}, which is {found}; actions answer the instruction or an observation, observations answer an action"
    )]
    WrongParent {
        /// Id of the tree.
        tree: String,
        /// The would-be parent.
        parent: NodeId,
        /// The parent's kind of content.
        found: &'static str,
        /// The kind of node that was to be added.
        child: &'static str,
    },

    /// A correct action ends its trajectory.
    #[error(
        "in tree `{tree}`, node {node} is a correct action, which ends its trajectory; add nothing under it"
    )]
    TrajectoryEnded {
        /// Id of the tree.
        tree: String,
        /// The correct action.
        node: NodeId,
    },

    /// An action has one observation.
    #[error(
        "in tree `{tree}`, action {node} already has observation {observation}; add the next action under that"
    )]
    AlreadyObserved {
        /// Id of the tree.
        tree: String,
        /// The action.
        node: NodeId,
        /// Its observation.
        observation: NodeId,
    },

    /// Two actions to one history have the same text.
    #[error(
        "in tree `{tree}`, action {sibling} under node {parent} has the same text; use that node instead of a second one"
    )]
    DuplicateSibling {
        /// Id of the tree.
        tree: String,
        /// The common parent.
        parent: NodeId,
        /// The action that is there already.
        sibling: NodeId,
    },

    /// The tree would get deeper than it may.
    #[error(
        "in tree `{tree}`, turn {turn} exceeds the limit of {max} turns; raise `max_turns` or stop here"
    )]
    TooManyTurns {
        /// Id of the tree.
        tree: String,
        /// The turn that was asked for.
        turn: usize,
        /// The most turns that this tree may have.
        max: usize,
    },

    /// The first node of a record is no instruction.
    #[error("is {found} where the instruction, without a parent, must be")]
    NoInstruction {
        /// The kind of node that is there.
        found: &'static str,
    },

    /// An instruction that is not node 0.
    #[error("is an instruction, but only node 0 may be; give the problem a tree of its own")]
    SecondInstruction,

    /// A node that hangs on nothing.
    #[error("has no parent in tree `{tree}`; say which node it follows")]
    Orphan {
        /// Id of the tree.
        tree: String,
    },

    /// A node whose parents lead in a circle.
    #[error(
        "in tree `{tree}`, the parents of node {node} lead in a circle; they must lead to node 0"
    )]
    Cycle {
        /// Id of the tree.
        tree: String,
        /// The node.
        node: NodeId,
    },

    /// A node that comes before its parent.
    #[error("in tree `{tree}`, node {node} comes before its parent {parent}; write parents first")]
    OutOfOrder {
        /// Id of the tree.
        tree: String,
        /// The node.
        node: NodeId,
        /// Its parent.
        parent: NodeId,
    },

    /// Two nodes cannot be a preference pair.
    #[error("in tree `{tree}`, chosen {chosen} and rejected {rejected} are no pair: {why}")]
    NotAPair {
        /// Id of the tree.
        tree: String,
        /// The chosen node.
        chosen: NodeId,
        /// The rejected node.
        rejected: NodeId,
        /// The reason why the two are no pair.
        why: &'static str,
    },

    /// A verdict that contradicts what the tree already says.
    #[error("in tree `{tree}`, the verdict of node {node} cannot be changed: {why}")]
    Contradiction {
        /// Id of the tree.
        tree: String,
        /// The node to be judged.
        node: NodeId,
        /// The reason why the verdict stands.
        why: &'static str,
    },

    // ---- rows ----
    /// A field that must have text is empty or blank.
    #[error("field `{field}` is empty or blank; give it text or drop the row")]
    EmptyField {
        /// Path of the field, as in `trajectory[2].value`.
        field: String,
    },

    /// The two actions of a pair are the same.
    #[error(
        "field `rejected` equals field `chosen`; a pair needs two different actions, drop the row"
    )]
    IdenticalPair,

    /// A message has the wrong speaker.
    #[error(
        "field `{field}` is `{found}` where `{expected}` must speak; a trajectory starts with the user and alternates"
    )]
    WrongSpeaker {
        /// Path of the field, as in `trajectory[1].from`.
        field: String,
        /// Who must speak here.
        expected: &'static str,
        /// Who does.
        found: &'static str,
    },

    /// A list of messages ends with the wrong speaker.
    #[error("field `{field}` ends with `{found}` where `{expected}` must have the last word")]
    WrongEnd {
        /// The list.
        field: String,
        /// Who must end.
        expected: &'static str,
        /// Who does.
        found: &'static str,
    },

    /// The trajectory leaves no one to answer.
    #[error(
        "field `trajectory` ends with the assistant after {messages} messages; it must end with the user message that both actions answer"
    )]
    TrajectoryEndsWithAssistant {
        /// Number of messages.
        messages: usize,
    },

    /// A task name that is not one of the four.
    #[error("unknown task `{found}`; known are {}", Task::NAMES.join(", "))]
    UnknownTask {
        /// The name found.
        found: String,
    },

    /// A file of another format or a later version of it.
    #[error(
        "field `{field}` is `{found}`, this release reads `{expected}`; read the file with the release that wrote it"
    )]
    Format {
        /// `format` or `version`.
        field: &'static str,
        /// The value in the record.
        found: String,
        /// The value that this release reads.
        expected: String,
    },

    /// A field has the wrong type, an unknown value, or is missing.
    #[error("field `{field}`: {message}")]
    Malformed {
        /// Path of the field, as in `trajectory[2].value`.
        field: String,
        /// The parser's message.
        message: String,
    },

    /// A score that contradicts the ratings beside it: a warning, where scores are used as they are.
    #[error(
        "field `completions[{answer}].overall_score` is {overall}, and the mean of the ratings beside it is {mean}; in releases of UltraFeedback some scores of 10 should be 1"
    )]
    DoubtfulScore {
        /// The answer, from 0.
        answer: usize,
        /// Its overall score.
        overall: f64,
        /// The mean of its ratings.
        mean: f64,
    },

    /// A source of scores that there is not.
    #[error("there is no source of scores `{found}`; known are `overall` and `fine-grained`")]
    ScoreSourceName {
        /// What was asked for.
        found: String,
    },

    /// A line is no JSON.
    #[error("not JSON at column {column}, in field `{field}`: {message}")]
    NotJson {
        /// Path of the innermost field that was being read.
        field: String,
        /// 1-based byte column.
        column: usize,
        /// The parser's message.
        message: String,
    },

    /// A line is no UTF-8.
    #[error("field `{field}` is not UTF-8 at column {column}; convert the file to UTF-8")]
    NotUtf8 {
        /// Path of the field that holds the first bad byte.
        field: String,
        /// 1-based byte column of the first bad byte.
        column: usize,
    },

    /// A record is too long to be a row; it was passed over.
    #[error("the record has {bytes} bytes, more than {limit}, and was not read")]
    RecordTooLong {
        /// The bytes it has.
        bytes: u64,
        /// The most bytes a record may have.
        limit: usize,
    },

    /// A file whose text cannot be read to its end.
    #[error("{fault}; {read} bytes of its text were read before that, and nothing after them")]
    RestNotRead {
        /// Bytes of text that were read, decompressed.
        read: u64,
        /// Why.
        fault: Box<Error>,
    },

    /// A part of a table that cannot be read; the rest is.
    #[error("{rows} rows could not be read: {fault}")]
    RowsNotRead {
        /// How many rows.
        rows: u64,
        /// Why.
        fault: Box<Error>,
    },

    // ---- places ----
    /// A fault inside a field.
    #[error("field `{field}`: {fault}")]
    InField {
        /// Path of the field, as in `nodes[3]`.
        field: String,
        /// The fault in the field.
        fault: Box<Error>,
    },

    /// A fault in a row of a file.
    #[error("{place} of {}: {fault}", file.display())]
    InRow {
        /// The file.
        file: PathBuf,
        /// Where in it.
        place: Place,
        /// The fault in the row.
        fault: Box<Error>,
    },

    /// A fault in a pair row that comes from memory.
    #[error("pair row {row} (id `{id}`): {fault}")]
    InPair {
        /// 1-based position among the rows given.
        row: usize,
        /// The row's id.
        id: String,
        /// The fault in the pair row.
        fault: Box<Error>,
    },

    /// A row that cannot be in one tree with others of its problem.
    #[error("row `{id}` contradicts an earlier row of its problem: {why}; trees keep both apart")]
    Contradicts {
        /// The row's id.
        id: String,
        /// How.
        why: &'static str,
    },

    /// Something that is there twice.
    #[error("has the same {what} as {first}; drop one")]
    Repeated {
        /// The repeated part: "id" or "record".
        what: &'static str,
        /// Where it was first.
        first: Location,
    },

    // ---- files ----
    /// A path or pattern that names no file.
    #[error("`{pattern}` {reason}")]
    Pattern {
        /// The path or pattern as it was given.
        pattern: String,
        /// The reason why it names no file.
        reason: String,
    },

    /// A file that is a JSON array ends before the array does.
    #[error(
        "the array is not closed, and its last {bytes} bytes are no whole element; the file is cut off, or was meant to be JSONL"
    )]
    ArrayNotClosed {
        /// Bytes of the element that is cut off.
        bytes: u64,
    },

    /// Something follows the array that a file should be.
    #[error(
        "there is text after the array, {bytes} bytes that were not read; a file is one JSON array or JSONL"
    )]
    AfterArray {
        /// Bytes from there to the end.
        bytes: u64,
    },

    /// A file in another encoding than UTF-8.
    #[error(
        "{} is UTF-16; convert it to UTF-8, for example with `iconv -f UTF-16 -t UTF-8`", file.display()
    )]
    Utf16 {
        /// The file.
        file: PathBuf,
    },

    /// An array with a comma too many.
    #[error("there is nothing between two commas of the array, or after the last")]
    EmptyElement,

    /// A file of tables that cannot be read or written.
    #[error("cannot {action} {}{place} as {kind}: {message}", file.display())]
    Table {
        /// `Parquet` or `Arrow`.
        kind: &'static str,
        /// The action that failed: "read" or "write".
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// `, row group 2`, or nothing.
        place: String,
        /// The library's message.
        message: String,
    },

    /// No format fits the first record of a file.
    #[error(
        "{}: no known format has the fields {found}; say which it is, one of {}", file.display(), known.join(", ")
    )]
    UnknownFormat {
        /// The file.
        file: PathBuf,
        /// The fields of its first record.
        found: String,
        /// The formats' names.
        known: Vec<&'static str>,
    },

    /// A format name that is not one of ours.
    #[error("unknown format `{found}`; known are {}", known.join(", "))]
    FormatName {
        /// The name found.
        found: String,
        /// The formats' names.
        known: Vec<&'static str>,
    },

    /// A format that cannot hold what is to be written.
    #[error("the format `{format}` cannot hold this {what}: {why}")]
    NotHeld {
        /// Name of the format.
        format: &'static str,
        /// The kind of example to be written: "tree", "preference", ...
        what: &'static str,
        /// The part that is missing or too much.
        why: String,
    },

    /// A mixture that cannot be made of its sources.
    #[error("mixture: `{source_name}` {reason}")]
    Mixture {
        /// Name of the source.
        source_name: String,
        /// The reason why it cannot be mixed.
        reason: String,
    },

    /// An amount that cannot be understood.
    #[error(
        "unknown amount `{found}`; say `all`, a number as `32000` or `32k`, a share as `50%`, or `ratio:3`"
    )]
    AmountName {
        /// The amount as it was given.
        found: String,
    },

    // ---- the rest ----
    /// The file system refused.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// The action that failed: "read", "create", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: std::io::Error,
    },

    /// A value cannot be written as JSON.
    #[error("item {item} for {} cannot be written as JSON: {message}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// 1-based position among the items written.
        item: usize,
        /// The serializer's message.
        message: String,
    },

    /// A share is out of range.
    #[error("`{name}` is {found}; it must be above 0 and at most 1")]
    Share {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        found: f64,
    },

    /// A setting is out of range.
    #[error("`{name}` is {found}; it must be {expected}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Its value.
        found: usize,
        /// The values that it may have.
        expected: String,
    },
}

impl Error {
    pub(crate) fn in_field(self, field: impl Into<String>) -> Self {
        Error::InField {
            field: field.into(),
            fault: Box::new(self),
        }
    }

    pub(crate) fn at(self, file: &Path, place: Place) -> Self {
        Error::InRow {
            file: file.to_path_buf(),
            place,
            fault: Box::new(self),
        }
    }

    pub(crate) fn in_pair(self, row: usize, id: &str) -> Self {
        Error::InPair {
            row,
            id: id.to_string(),
            fault: Box::new(self),
        }
    }

    /// A field that has not the form it should have; for parsers of rows.
    pub fn malformed(field: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Malformed {
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn missing(field: impl Into<String>) -> Self {
        Error::malformed(field, "is missing")
    }

    /// A temporary file could not be used.
    pub(crate) fn temporary(reason: std::io::Error) -> Self {
        Error::io("use a temporary file in", &std::env::temp_dir(), reason)
    }

    pub(crate) fn io(action: &'static str, path: &Path, reason: std::io::Error) -> Self {
        Error::Io {
            action,
            path: path.to_path_buf(),
            reason,
        }
    }

    /// The fault itself, without the places around it.
    ///
    /// ```
    /// use ultrainteract::{formats, Error};
    ///
    /// let input = "{\"id\":\"a\",\"parent_id\":\"a\",\"task\":\"Logic\",\"dataset\":\"d\",\
    ///     \"trajectory\":[{\"from\":\"user\",\"value\":\"q\"}],\"chosen\":\"\",\"rejected\":\"no\"}";
    /// let mut rows = formats::JsonlReader::<_, formats::PairRow>::new(input.as_bytes(), "pairs.jsonl");
    /// let error = rows.next().unwrap().unwrap_err();
    /// assert!(matches!(error.fault(), Error::EmptyField { field } if field == "chosen"));
    /// assert!(error.to_string().starts_with("row 1 of pairs.jsonl: field `chosen` is empty"));
    /// ```
    pub fn fault(&self) -> &Error {
        match self {
            Error::InField { fault, .. }
            | Error::InRow { fault, .. }
            | Error::InPair { fault, .. } => fault.fault(),
            other => other,
        }
    }
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
