//! A search over a folder of texts, as the tool of logic problems.

use std::fs;
use std::path::{Path, PathBuf};

use bm25::{Document, SearchEngine, SearchEngineBuilder, Tokenizer};

use super::Tool;
use crate::{Error, Result};

/// The most of a query that is looked at, in characters, as MINT's tool has it (arXiv 2309.10691).
const LONGEST_QUERY: usize = 300;

/// The most of a result, in characters, from there too.
const LONGEST_RESULT: usize = 1000;

/// How many texts a result has.
const TEXTS: usize = 2;

/// Finds the texts of a folder that are nearest to a query, by Okapi BM25.
///
/// It stands in for the search in Wikipedia of the paper (appendix A.1): the result is the two nearest texts, one after the other,
/// cut after a thousand characters in all.
pub struct CorpusSearch {
    engine: SearchEngine<u32, u32, Words>,
    titles: Vec<String>,
}

impl CorpusSearch {
    /// Reads the files `*.txt` and `*.md` of a folder and of those in it; the name of a file is the title of its text.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or there is none.
    pub fn of_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut paths = Vec::new();
        gather(folder, &mut paths)?;
        if paths.is_empty() {
            return Err(corpus_error(
                folder,
                "has no .txt or .md file to search in".into(),
            ));
        }
        // The same results on every machine.
        paths.sort();
        let mut titles = Vec::with_capacity(paths.len());
        let mut documents = Vec::with_capacity(paths.len());
        for (id, path) in (0..).zip(&paths) {
            let text = fs::read(path)
                .map_err(|error| corpus_error(path, format!("cannot be read: {error}")))?;
            let title = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .replace('_', " ");
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            documents.push(Document::new(id, format!("{title}\n{text}")));
            titles.push(title);
        }
        let engine = SearchEngineBuilder::with_tokenizer_and_documents(Words, documents).build();
        Ok(Self { engine, titles })
    }

    /// How many texts there are.
    pub fn texts(&self) -> usize {
        self.titles.len()
    }
}

impl std::fmt::Debug for CorpusSearch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CorpusSearch")
            .field("texts", &self.titles.len())
            .finish_non_exhaustive()
    }
}

impl Tool for CorpusSearch {
    fn name(&self) -> &str {
        "wikipedia_search"
    }

    fn description(&self) -> &str {
        "finds the two articles nearest to the query and returns how they begin, at most 1000 characters in all"
    }

    fn call(&self, argument: &str) -> String {
        let query: String = argument.chars().take(LONGEST_QUERY).collect();
        let mut found = self.engine.search(&query, None);
        // Of equally near ones the first by name.
        found.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(a.document.id.cmp(&b.document.id))
        });
        let texts: Vec<String> = found
            .into_iter()
            .take(TEXTS)
            .map(|it| it.document.contents)
            .collect();
        if texts.is_empty() {
            return "No article was found.".to_owned();
        }
        texts.join("\n\n").chars().take(LONGEST_RESULT).collect()
    }
}

/// Lower-case runs of letters and digits.
struct Words;

impl Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    }
}

fn gather(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |error| corpus_error(folder, format!("cannot be read: {error}"));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        // Links are not followed: they may lead in a circle.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            gather(&path, paths)?;
        } else if path.extension().is_some_and(|it| it == "txt" || it == "md") {
            paths.push(path);
        }
    }
    Ok(())
}

fn corpus_error(path: &Path, problem: String) -> Error {
    Error::Corpus {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_texts_are_found_and_cut() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(folder.path().join("deeper")).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("Bridge_of_Sighs.txt", "A bridge in Venice.");
        write("deeper/Venice.md", &"Venice lies in a lagoon. ".repeat(100));
        write("Mountain.txt", "A mountain is high.");
        write("notes.pdf", "bridge bridge bridge");
        let search = CorpusSearch::of_folder(folder.path()).unwrap();
        assert_eq!(search.texts(), 3);
        let found = search.call("Where is the bridge of sighs?");
        assert!(
            found.starts_with("Bridge of Sighs\nA bridge in Venice."),
            "{found}"
        );
        assert_eq!(search.call("venice").chars().count(), 1000);
        assert_eq!(search.call("quantum"), "No article was found.");
        assert_eq!(
            search.call(&format!("{}mountain", " ".repeat(300))),
            "No article was found."
        );
    }

    #[test]
    fn a_folder_without_texts_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = CorpusSearch::of_folder(folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("has no .txt or .md file"), "{error}");
        assert!(
            CorpusSearch::of_folder("/no/such/folder")
                .unwrap_err()
                .to_string()
                .contains("/no/such/folder")
        );
    }
}
