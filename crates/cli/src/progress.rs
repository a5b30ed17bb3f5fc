//! Progress of long work, on standard error and only where a person sees it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A running count. It vanishes when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// Nothing is shown unless standard error is a terminal and standard output is not: both would be mixed up.
    pub fn new(what: &'static str) -> Self {
        let shown = std::io::stderr().is_terminal() && !std::io::stdin().is_terminal();
        Progress::shown(what, shown)
    }

    /// For commands that print only at their end.
    pub fn until_done(what: &'static str) -> Self {
        Progress::shown(what, std::io::stderr().is_terminal())
    }

    fn shown(what: &'static str, shown: bool) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{human_pos} {msg} ({per_sec}, {elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Progress(bar)
    }

    pub fn add(&self, count: u64) {
        self.0.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
