//! What a waiting user sees: a line per step, with the time it took.

use std::time::Instant;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Prints to the terminal; on anything else it prints only the finished steps.
pub struct Progress;

impl Progress {
    pub fn new() -> Progress {
        Progress
    }

    /// Runs `work` and shows what it is and how long it took.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.set_style(ProgressStyle::with_template("  {spinner} {msg}").expect("a constant template"));
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        let outcome = work();
        bar.finish_and_clear();
        let mark = if outcome.is_ok() { "ok" } else { "failed" };
        println!("  {what:<28} {mark:<6} {:>6} ms", begun.elapsed().as_millis());
        outcome
    }
}
