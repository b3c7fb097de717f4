//! Progress bars.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// All bars: a stage may have stages in it.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A stage of the run: a bar while it lasts, a line when it is done.
pub struct Stage {
    name: String,
    bar: ProgressBar,
    started: Instant,
}

impl Stage {
    /// Starts a stage of `total` units.
    pub fn start(name: impl Into<String>, total: usize, unit: &str) -> Self {
        let name = name.into();
        let bar = BARS.add(ProgressBar::new(total as u64));
        let template = format!(
            "{{prefix:>18.bold}} [{{bar:28}}] {{pos}}/{{len}} {unit} {{per_sec}} eta {{eta}} {{msg}}"
        );
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            name,
            bar,
            started: Instant::now(),
        }
    }

    /// Moves the bar, with a word on how it goes.
    pub fn position(&self, position: usize, message: String) {
        self.bar.set_position(position as u64);
        self.bar.set_message(message);
    }

    /// Ends the stage with what came out of it.
    pub fn finish(self, result: &str) {
        let (name, seconds) = (self.name.clone(), self.started.elapsed().as_secs_f64());
        self.clear();
        BARS.suspend(|| println!("{name:>18}  {seconds:>6.1} s  {result}"));
    }

    /// Ends a stage that is a part of another one.
    pub fn clear(self) {
        self.bar.finish_and_clear();
    }
}
