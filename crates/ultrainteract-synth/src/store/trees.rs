//! Finished trees, read in bounded memory.

use std::collections::VecDeque;

use super::Store;
use super::clock::unix_ms;
use super::database::{Fault, Row};
use crate::Result;

/// Trees that are read at once.
const PAGE: i64 = 32;

/// A tree that is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedTree {
    /// The problem's id.
    pub id: String,
    /// Its place in the order of the problems, from 0.
    pub position: u64,
    /// The tree, as it was given to [`Store::finish`].
    pub tree: String,
    /// The account of how it was built.
    pub stats: String,
    /// When it was finished, in milliseconds since 1970.
    pub finished_unix_ms: u64,
}

const COLUMNS: &str = "SELECT job, position, tree, stats, finished FROM synth_trees";

impl Store {
    /// The trees that are finished, in the order of the problems. A few are in memory at a time, and no transaction is open
    /// in between: trees that are finished meanwhile are among them if their place is still to come.
    pub fn trees(&self) -> Trees<'_> {
        Trees {
            store: self,
            page: VecDeque::new(),
            after: -1,
            is_over: false,
        }
    }

    /// The tree of a problem, if it is finished.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn finished(&self, id: &str) -> Result<Option<FinishedTree>> {
        self.read("read a tree from", async |transaction| {
            let sql = format!("{COLUMNS} WHERE job = $1");
            let row = transaction.row(sql, &[id.into()]).await?;
            row.as_ref().map(finished_tree).transpose()
        })
    }

    /// Hands over the accounts of all trees that are finished, in the order of the problems, without the trees, which are much
    /// larger.
    ///
    /// # Errors
    ///
    /// The store cannot be read; what `each` returns.
    pub fn for_each_account(&self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        const ACCOUNTS: i64 = 1024;
        let mut after = -1;
        loop {
            let page: Vec<(i64, String)> = self.read("read accounts from", async |transaction| {
                let sql = "SELECT position, stats FROM synth_trees WHERE position > $1 ORDER BY position LIMIT $2";
                let rows = transaction.rows(sql, &[after.into(), ACCOUNTS.into()]).await?;
                let account = |row: &Row| Ok((row.integer(0)?, row.text(1)?));
                rows.iter().map(account).collect::<Result<_, Fault>>()
            })?;
            for (position, stats) in &page {
                each(stats)?;
                after = *position;
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    fn page(&self, after: i64) -> Result<VecDeque<FinishedTree>> {
        self.read("read trees from", async |transaction| {
            let sql = format!("{COLUMNS} WHERE position > $1 ORDER BY position LIMIT $2");
            let rows = transaction.rows(sql, &[after.into(), PAGE.into()]).await?;
            rows.iter().map(finished_tree).collect()
        })
    }
}

fn finished_tree(row: &Row) -> Result<FinishedTree, Fault> {
    Ok(FinishedTree {
        id: row.text(0)?,
        position: row.count(1)?,
        tree: row.text(2)?,
        stats: row.text(3)?,
        finished_unix_ms: unix_ms(row.integer(4)?),
    })
}

/// Iterator over finished trees, of [`Store::trees`]. It ends with the first error.
#[derive(Debug)]
pub struct Trees<'a> {
    store: &'a Store,
    page: VecDeque<FinishedTree>,
    /// The place of the last tree that was read.
    after: i64,
    is_over: bool,
}

impl Iterator for Trees<'_> {
    type Item = Result<FinishedTree>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.is_over {
            match self.store.page(self.after) {
                Ok(page) => self.page = page,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
            self.is_over = self.page.is_empty();
        }
        let tree = self.page.pop_front()?;
        self.after = i64::try_from(tree.position).unwrap_or(i64::MAX);
        Some(Ok(tree))
    }
}
