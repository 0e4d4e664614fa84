//! What a person sees while a command works: a line per finished step, and one live line on a terminal.
//!
//! Everything goes to stderr. Without a terminal there is no live line, and nothing is overwritten.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Column in which the time of a step ends.
const WIDTH: usize = 78;
const LABEL: usize = 10;

pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    pub fn new(terminal: bool, quiet: bool) -> Self {
        let target = if terminal && !quiet {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("  {spinner} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Self { bar, quiet }
    }

    /// What is being done or waited for right now; replaced by the next call.
    pub fn live(&self, what: impl Into<String>) {
        self.bar.enable_steady_tick(Duration::from_millis(120));
        self.bar.set_message(what.into());
    }

    /// A finished step: `  chart     charts/todo (new)`.
    pub fn step(&self, label: &str, text: impl AsRef<str>) {
        self.print(format!("  {label:<LABEL$}{}", text.as_ref()));
    }

    /// A finished step with the time it took at the right edge.
    pub fn timed(&self, label: &str, text: impl AsRef<str>, since: Instant) {
        let left = format!("  {label:<LABEL$}{}", text.as_ref());
        let time = format!("{:.1} s", since.elapsed().as_secs_f64());
        self.print(format!("{left:<WIDTH$}{time:>8}"));
    }

    pub fn warn(&self, text: impl AsRef<str>) {
        self.print(format!("  warning   {}", text.as_ref()));
    }

    fn print(&self, line: String) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{}", line.trim_end()));
        }
    }

    /// Removes the live line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
