//! The error type of this crate, for all faults between text and packed tokens.

use std::path::PathBuf;

use crate::{BuiltInTemplate, Rewriting};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something was wrong with one tree of several.
    #[error("tree {tree}: {problem}")]
    InTree {
        /// Name of the tree: its id, or its index in the list given.
        tree: String,
        /// The fault of the tree.
        problem: Box<Error>,
    },

    // ---- shape of a tree
    /// A tree without nodes, or a forest without trees.
    #[error("there is nothing here: a {what} needs at least one {part}")]
    Empty {
        /// The thing that was empty.
        what: &'static str,
        /// The part that it needs at least one of.
        part: &'static str,
    },
    /// A node without tokens, which nothing could attend to or be predicted by.
    #[error(
        "node {node} has no tokens; drop it and attach its children to its parent, \
         or give it the tokens of its message"
    )]
    EmptyNode {
        /// Index of the node in its tree.
        node: usize,
    },
    /// The first node has a parent.
    #[error("node 0 has the parent {parent}, but it must be the root; list the root first")]
    RootHasParent {
        /// The parent that it names.
        parent: usize,
    },
    /// A node other than the first has no parent.
    #[error(
        "node {node} has no parent, but only node 0 may be a root; \
         make a tree of its own for it or name its parent"
    )]
    SecondRoot {
        /// Index of the node in its tree.
        node: usize,
    },
    /// The parent of a node does not come before the node.
    #[error("node {node} names node {parent} as its parent; list parents before their children")]
    ParentNotBefore {
        /// Index of the node in its tree.
        node: usize,
        /// The parent that it names.
        parent: usize,
    },
    /// A node index outside of the tree.
    #[error("node {node} does not exist: the tree has {nodes} nodes")]
    NoSuchNode {
        /// The index asked for.
        node: usize,
        /// Number of nodes of the tree.
        nodes: usize,
    },
    /// More tokens than a packed forest can index.
    #[error(
        "{tokens} tokens do not fit in one forest (32-bit indices); pack with a smaller budget"
    )]
    ForestTooLarge {
        /// Number of tokens of all trees.
        tokens: usize,
    },
    /// A tree alone is larger than the token budget of a forest.
    #[error(
        "the tree has {tokens} tokens (longest path {longest_path}), more than the budget of {budget}; \
         split it with `TokenTree::split` or raise the budget"
    )]
    TreeTooLarge {
        /// Number of tokens of the tree.
        tokens: usize,
        /// Number of tokens of its longest path.
        longest_path: usize,
        /// The budget.
        budget: usize,
    },
    /// Nodes that must stay together have paths that are longer than the token budget.
    #[error(
        "the paths of nodes {nodes:?}, which must stay together, have {tokens} tokens (longest path \
         {longest_path}), more than the budget of {budget}; raise the budget or drop them"
    )]
    GroupTooLong {
        /// The nodes of the group.
        nodes: Vec<usize>,
        /// Number of tokens of their paths, shared ones counted once.
        tokens: usize,
        /// Number of tokens of the longest of the paths.
        longest_path: usize,
        /// The budget.
        budget: usize,
    },

    /// Responses that are too long with their history, where nothing may be cut or dropped.
    #[error(
        "the responses at nodes {nodes:?} have a history of {history} tokens; {what} has {tokens} tokens, more than \
         the limit of {limit}; raise the limit, or let old turns be cut or such rows be dropped"
    )]
    OverLong {
        /// The responses, which share the history.
        nodes: Vec<usize>,
        /// Number of tokens before them.
        history: usize,
        /// The part that is too long: the longest path, or all of them together.
        what: &'static str,
        /// Its number of tokens.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// Nodes that should have the same history, but do not.
    #[error("nodes {nodes:?} are not answers to the same prompt; name siblings below the root")]
    NotSiblings {
        /// The nodes.
        nodes: Vec<usize>,
    },

    // ---- files of a tokenizer
    /// A file or folder of the tokenizer could not be read or written.
    #[error("cannot {action} {}: {reason}; {advice}", path.display())]
    File {
        /// "read", "write" and the like.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
        /// A remedy.
        advice: &'static str,
    },
    /// A folder without a file that every tokenizer has, and with something that it can be made of.
    #[error("{folder}: there is no {wanted}, but {found}; {remedy}")]
    OtherTokenizer {
        /// The folder.
        folder: String,
        /// The file that was looked for.
        wanted: &'static str,
        /// What is there.
        found: String,
        /// How to make the file of it.
        remedy: String,
    },
    /// A file of the tokenizer is there but makes no sense.
    #[error("{file} is malformed: {reason}; {advice}")]
    Malformed {
        /// The file, with its folder when it was read from one.
        file: String,
        /// The fault of the file.
        reason: String,
        /// A remedy.
        advice: &'static str,
    },
    /// No chat template came with the tokenizer.
    #[error(
        "{folder} has no chat template (neither chat_template.jinja nor `chat_template` in \
         tokenizer_config.json, as with most base models); add chat_template.jinja to it, or choose a \
         built-in one: {}",
        BuiltInTemplate::names()
    )]
    NoChatTemplate {
        /// Where the tokenizer was read from.
        folder: String,
    },
    /// The end-of-turn token is not one token of the vocabulary.
    #[error(
        "the eos token `{token}` of {folder} is not a special token of tokenizer.json; set `eos_token` in \
         tokenizer_config.json to the token that ends an assistant turn, and list it in `added_tokens`"
    )]
    EosNotInVocabulary {
        /// The token named by the configuration.
        token: String,
        /// Where the tokenizer was read from.
        folder: String,
    },

    // ---- chat templates
    /// A chat template that is not valid jinja.
    #[error("chat template {template}, line {line}: {reason}")]
    TemplateSyntax {
        /// Where the template came from.
        template: String,
        /// Line of the template, from 1.
        line: usize,
        /// The engine's message.
        reason: String,
    },
    /// A chat template refused a conversation or failed on it.
    #[error(
        "chat template {template}, line {line}, cannot render a conversation of {messages} messages: {reason}"
    )]
    TemplateRender {
        /// Where the template came from.
        template: String,
        /// Line of the template, from 1.
        line: usize,
        /// Number of messages rendered.
        messages: usize,
        /// The message of the template or the engine.
        reason: String,
    },
    /// Adding a message changed the text before it, so a shared history has no one text.
    #[error(
        "chat template {template} rewrites history: {cause}; adding message {message} changes the text at byte {at} \
         from {before:?} to {after:?}; use a template that only appends"
    )]
    TemplateNotPrefixStable {
        /// Where the template came from.
        template: String,
        /// What the template does.
        cause: Rewriting,
        /// The message that was added, from 1.
        message: usize,
        /// The first byte that differs.
        at: usize,
        /// The text there before the message was added.
        before: String,
        /// The text there since.
        after: String,
    },
    /// The template leaves a text out, or writes another one.
    #[error(
        "chat template {template} does not write message {message} ({role}) as it is: of {text:?} it makes {rendered:?}; \
         what is left out would be lost without a word, so use a template that writes whole messages, or change the message"
    )]
    TextNotRendered {
        /// Where the template came from.
        template: String,
        /// The message, from 1.
        message: usize,
        /// Who says it.
        role: &'static str,
        /// Its text, or the beginning of it.
        text: String,
        /// What is there instead, with what stands around it, or the beginning of it.
        rendered: String,
    },
    /// The template does not write something that a message says beside its text.
    #[error(
        "chat template {template} does not write `{field}` of message {message} ({role}); what is set must not be lost without a \
         word, so use a template that has a place for it, or leave it out"
    )]
    FieldNotRendered {
        /// Where the template came from.
        template: String,
        /// The message, from 1.
        message: usize,
        /// Who says it.
        role: &'static str,
        /// What is left out.
        field: &'static str,
    },
    /// The template never closes an assistant turn with the end-of-turn token.
    #[error(
        "chat template {template} does not write the eos token `{eos}` after an assistant turn, so a model \
         trained on it would never stop; set `eos_token` to the token that ends the turn, or add it to the template"
    )]
    NoTurnEnd {
        /// Where the template came from.
        template: String,
        /// The token that was expected.
        eos: String,
    },
    /// The text of an assistant turn contains the end-of-turn token.
    #[error(
        "message {message} (assistant) contains the eos token `{eos}`, which would end the turn inside it; remove it"
    )]
    EosInText {
        /// The message, from 1.
        message: usize,
        /// The token.
        eos: String,
    },
    /// Messages in an order that makes no prompt and answer.
    #[error("message {message}: {reason}")]
    MessageOrder {
        /// The message, from 1.
        message: usize,
        /// The reason why it cannot stand there.
        reason: &'static str,
    },
    /// The tokenizer failed on a text, or on ids.
    #[error("the tokenizer cannot {action} {input:?}: {reason}")]
    Tokenize {
        /// "encode" or "decode".
        action: &'static str,
        /// The beginning of what it failed on.
        input: String,
        /// The tokenizer's message.
        reason: String,
    },

    // ---- rows to train on
    /// A file or a record of it is at fault.
    #[error(transparent)]
    Data(#[from] ultrainteract::Error),
    /// Something is wrong with what a record says.
    #[error("{location}: {problem}")]
    InRow {
        /// File and record.
        location: ultrainteract::input::Location,
        /// The fault of the record.
        problem: Box<Error>,
    },
    /// Something is wrong with a field of a record.
    #[error("field `{field}`: {problem}")]
    InField {
        /// The field.
        field: &'static str,
        /// The fault of the field.
        problem: Box<Error>,
    },
    /// Examples of this kind do not hold what the loss learns from.
    #[error(
        "a {kind} does not hold {wanted}; train on it with a loss, or a command, that learns from what it has"
    )]
    UnfitExample {
        /// The kind of example.
        kind: &'static str,
        /// The kind of data that the loss learns from.
        wanted: &'static str,
    },
    /// An answer of several messages, where a verdict or a preference is on one.
    #[error(
        "field `{field}`: it has {count} messages, and a verdict is on one; give a row for each answer, with what comes before it as its prompt"
    )]
    SeveralMessages {
        /// The field.
        field: &'static str,
        /// How many messages it has.
        count: usize,
    },
    /// Records that cannot be trained on, which nobody said to drop.
    #[error("{problem}")]
    UnusableRows {
        /// How many of which kind, the first of each, and what to do.
        problem: String,
    },
    /// Nothing is left to train on.
    #[error("{files}: {problem}")]
    NoRows {
        /// The files.
        files: String,
        /// Counts of their records, by what became of them.
        problem: String,
    },

    // ---- examples to train on
    /// A tree without groups.
    #[error("example `{id}` has nothing to train on; give it a group of responses, or drop it")]
    NothingToLearn {
        /// The example.
        id: String,
    },
    /// A group of responses that makes no sense.
    #[error("group {group} of example `{id}`: {problem}")]
    BadGroup {
        /// The example.
        id: String,
        /// The group, by its index.
        group: usize,
        /// The fault of the group.
        problem: String,
    },
    /// Mismatched responses come from other trees, and there is only one.
    #[error(
        "a KL estimate joins prompts with responses of other trees, and there is only one tree; give more trees, or a loss without a KL estimate"
    )]
    OneTreeForKl,

    // ---- training a tokenizer
    /// The settings of a tokenizer to train make no sense.
    #[error("cannot train a tokenizer: {reason}")]
    Train {
        /// The fault of the settings, and a remedy.
        reason: String,
    },
}

impl Error {
    /// Says in which tree the error happened.
    #[must_use]
    pub fn in_tree(self, tree: impl std::fmt::Display) -> Self {
        Self::InTree {
            tree: tree.to_string(),
            problem: Box::new(self),
        }
    }

    /// Says in which record of which file the error lies.
    #[must_use]
    pub(crate) fn in_row(self, location: &ultrainteract::input::Location) -> Self {
        Self::InRow {
            location: location.clone(),
            problem: Box::new(self),
        }
    }

    /// Says in which field of a record the error lies.
    #[must_use]
    pub(crate) fn in_field(self, field: &'static str) -> Self {
        Self::InField {
            field,
            problem: Box::new(self),
        }
    }
}
