//! A bar of the bytes read, on a terminal only.

use std::time::Duration;

use eurus::data::input::ReadBytes;
use indicatif::{ProgressBar, ProgressStyle};

const STYLE: &str =
    "{prefix:.bold} {bar:24.cyan/dim} {binary_bytes}/{binary_total_bytes} [{elapsed}, left {eta}]";

/// Follows a count of bytes until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    read: ReadBytes,
}

impl Progress {
    /// `passes`: how often the files are read.
    pub fn new(title: &str, bytes: u64, passes: u64) -> Self {
        let bar = ProgressBar::new(bytes * passes);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            read: ReadBytes::default(),
        }
    }

    /// The count to add to.
    pub fn read_bytes(&self) -> &ReadBytes {
        &self.read
    }

    /// Shows the present count.
    pub fn update(&self) {
        self.bar.set_position(self.read.get());
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| crate::job::print(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
