//! A bar of the bytes read, on a terminal only.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use eurus::data::input::ReadBytes;
use indicatif::{ProgressBar, ProgressStyle};

const STYLE: &str =
    "{prefix:.bold} {bar:24.cyan/dim} {binary_bytes}/{binary_total_bytes} [{elapsed}, left {eta}]";

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(200);

/// Follows a count of bytes until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    read: ReadBytes,
    /// Dropped to end the follower.
    running: Option<Sender<()>>,
    follower: Option<JoinHandle<()>>,
}

impl Progress {
    /// `bytes`: what will be read, each time it is.
    pub fn new(title: &str, bytes: u64) -> Self {
        let bar = ProgressBar::new(bytes);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(title.to_owned());
        let read = ReadBytes::default();
        let (running, ended) = channel::<()>();
        let (followed, counted) = (bar.clone(), read.clone());
        let follower = std::thread::spawn(move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                followed.set_position(counted.get());
            }
        });
        Self {
            bar,
            read,
            running: Some(running),
            follower: Some(follower),
        }
    }

    /// The count to add to.
    pub fn read_bytes(&self) -> &ReadBytes {
        &self.read
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| crate::job::print(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(follower) = self.follower.take() {
            // It only draws; if it has panicked there is nothing to save.
            let _ = follower.join();
        }
        self.bar.finish_and_clear();
    }
}
