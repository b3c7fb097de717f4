//! A file of reference log-probs: a line of JSON for what they belong to, then one for every group of trees.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use serde::{Deserialize, Serialize};
use token_forest::{Group, TrainingTree};

use super::TreeReference;
use crate::digest::{of_bytes, of_model};
use crate::{Error, Precision, Result};

/// The key of a cache of reference log-probs: all that they depend on besides the trees. Another model, tokenizer or
/// number type makes others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceKey {
    /// SHA-256 of the model's parameters.
    model: String,
    /// SHA-256 of what else the model computes with.
    config: String,
    /// SHA-256 of what made text into tokens.
    tokenizer: String,
    /// The number type that is computed in: that of the parameters, or another one.
    dtype: String,
}

impl ReferenceKey {
    /// The key of a reference model's parameters; `tokenizer` is whatever made text into tokens: the tokenizer's file and the
    /// chat template, say.
    pub fn new<M: Module>(model: &M, tokenizer: impl AsRef<[u8]>) -> Self {
        let (model, dtype) = of_model(model);
        Self {
            model,
            config: of_bytes([]),
            tokenizer: of_bytes(tokenizer),
            dtype: dtype
                .map(|dtype| format!("{dtype:?}").to_lowercase())
                .unwrap_or_default(),
        }
    }

    /// Adds the model's configuration to the key, in whatever form: the base of rotary embeddings or the reach of a
    /// window change log-probs and are no parameters.
    pub fn with_config(mut self, config: impl AsRef<[u8]>) -> Self {
        self.config = of_bytes(config);
        self
    }

    /// The key of the same model computed in a precision.
    fn computed_in(&self, precision: Precision) -> Self {
        let mut key = self.clone();
        if precision == Precision::Bf16 {
            key.dtype = "bf16".to_owned();
        }
        key
    }

    /// How the key of a file, `self`, differs from the one that is wanted.
    fn difference(&self, wanted: &Self) -> Option<&'static str> {
        if self.dtype != wanted.dtype {
            Some("they were computed in another number type")
        } else if self.model != wanted.model {
            Some("the model has other weights")
        } else if self.config != wanted.config {
            Some("the model has another configuration")
        } else if self.tokenizer != wanted.tokenizer {
            Some("the tokenizer or its chat template is another")
        } else {
            None
        }
    }
}

/// Where reference log-probs are kept between runs.
///
/// The file grows group by group while they are computed, so a run that is killed loses one group at most. Trees are found by
/// what is in them: files of a part of the data, or of the data in another order, help as far as they go.
#[derive(Debug, Clone)]
pub struct ReferenceCache {
    path: PathBuf,
    key: ReferenceKey,
    replace_stale: bool,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    #[serde(flatten)]
    key: ReferenceKey,
}

const VERSION: u32 = 5;

/// A tree in one of the other lines. A line has the trees that were computed together, so that a kill in the middle of one
/// leaves all or none of them: which trees share a forest decides the last bits of their sums.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// SHA-256 of the tree.
    tree: String,
    #[serde(flatten)]
    values: TreeReference,
}

/// A cache file that is being read and added to.
pub(super) struct CacheFile {
    path: PathBuf,
    file: File,
    trees: HashMap<String, TreeReference>,
}

impl ReferenceCache {
    /// A cache in this file, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>, key: ReferenceKey) -> Self {
        Self {
            path: path.into(),
            key,
            replace_stale: false,
        }
    }

    /// Sets whether a file of another model, tokenizer or version, or that is no cache at all, is begun anew; otherwise it is an
    /// error.
    pub fn with_replace_stale(mut self, replace: bool) -> Self {
        self.replace_stale = replace;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self, precision: Precision) -> Result<CacheFile> {
        let path = &self.path;
        let key = self.key.computed_in(precision);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder"))?;
        }
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.map_err(Error::io(path, "reading"))?,
        };
        // A kill in the middle of a line leaves a part of it.
        let mut whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        let header = text[..whole].split(|&byte| byte == b'\n').next();
        let header = header.filter(|_| whole > 0);
        match header.and_then(|header| stale(header, &key)) {
            Some(_) if self.replace_stale => whole = 0,
            Some(difference) => {
                let path = path.clone();
                return Err(Error::StaleCache { path, difference });
            }
            None => {}
        }
        let lines = text[..whole].split(|&byte| byte == b'\n').skip(1);
        // What cannot be read is computed again.
        let trees = lines
            .filter_map(|line| serde_json::from_slice::<Vec<Entry>>(line).ok())
            .flatten()
            .map(|entry| (entry.tree, entry.values))
            .collect();
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
            .and_then(|mut file| {
                file.set_len(whole as u64)?;
                file.seek(io::SeekFrom::End(0))?;
                Ok(file)
            })
            .map_err(Error::io(path, "opening"))?;
        let mut file = CacheFile {
            path: path.clone(),
            file,
            trees,
        };
        if whole == 0 {
            file.write(&Header {
                version: VERSION,
                key,
            })?;
        }
        Ok(file)
    }
}

/// Why a file that begins with this line is of no use.
fn stale(header: &[u8], wanted: &ReferenceKey) -> Option<String> {
    let header: Header = match serde_json::from_slice(header) {
        Ok(header) => header,
        Err(error) => return Some(format!("its first line is not that of a cache ({error})")),
    };
    if header.version != VERSION {
        return Some(format!(
            "it has version {}, and this program writes version {VERSION}",
            header.version
        ));
    }
    header.key.difference(wanted).map(str::to_owned)
}

/// The key of a tree in the cache: all that its log-probs depend on, without names and labels.
fn tree_key(tree: &TrainingTree) -> String {
    let turns_of = |group: &Group| -> Vec<Vec<usize>> {
        let nodes = group.nodes.iter();
        nodes.map(|&node| tree.turns_to(node)).collect()
    };
    let groups: Vec<_> = tree
        .groups()
        .iter()
        .map(|group| (&group.nodes, turns_of(group), group.mismatched))
        .collect();
    of_bytes(serde_json::to_vec(&(tree.tree(), groups)).unwrap_or_default())
}

impl CacheFile {
    /// The log-probs of a tree that is in the file.
    pub fn get(&self, tree: &TrainingTree) -> Option<TreeReference> {
        let values = self.trees.get(&tree_key(tree))?;
        values.belongs_to(tree).then(|| values.clone())
    }

    /// Adds trees that were computed together.
    pub fn add<'a>(
        &mut self,
        trees: impl Iterator<Item = (&'a TrainingTree, &'a TreeReference)>,
    ) -> Result<()> {
        let entries: Vec<Entry> = trees
            .map(|(tree, values)| Entry {
                tree: tree_key(tree),
                values: values.clone(),
            })
            .collect();
        self.write(&entries)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut writer = BufWriter::new(&self.file);
        serde_json::to_writer(&mut writer, line)
            .map_err(io::Error::other)
            .and_then(|()| writeln!(writer))
            .and_then(|()| writer.flush())
            .map_err(Error::io(&self.path, "writing"))
    }
}
