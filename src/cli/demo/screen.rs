//! Where the live picture goes: redrawn in place on a terminal, one line a second elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use console::{Term, truncate_str};

use super::table::{Frame, Look, Table};
use super::upstreams::Upstream;

/// The place where the demo talks while it runs.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    terminal: Term,
    mode: Mode,
    table: Table,
}

enum Mode {
    /// A picture in place of the one before, which had that many lines.
    Picture { lines: usize },
    /// A line a second, and one for each change of a breaker; that many were told.
    Lines { told: u64 },
    /// Nothing but the upstreams.
    Silent,
}

impl Screen {
    /// Talks on stdout, or on stderr where stdout is for JSON.
    pub(super) fn new(
        json: bool,
        upstreams: &[Upstream],
        (began, lasts): (Instant, Option<Duration>),
    ) -> Self {
        let (out, terminal): (Box<dyn Write + Send>, Term) = if json {
            (Box::new(io::stderr()), Term::stderr())
        } else {
            (Box::new(io::stdout()), Term::stdout())
        };
        let can_move = is_set("TERM", |term| term != "dumb");
        let at_terminal =
            if json { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        let mode = match (at_terminal && can_move, json) {
            (true, _) => Mode::Picture { lines: 0 },
            (false, false) => Mode::Lines { told: 0 },
            (false, true) => Mode::Silent,
        };
        let pictures = matches!(mode, Mode::Picture { .. });
        let look =
            Look { colours: pictures && !is_set("NO_COLOR", |_| true), unicode: speaks_unicode() };
        Self { out, terminal, mode, table: Table::new(upstreams, began, lasts, look) }
    }

    /// Names the listeners.
    pub(super) fn announce(&mut self, upstreams: &[Upstream]) -> io::Result<()> {
        for upstream in upstreams {
            writeln!(self.out, "{}={}", upstream.name, upstream.url)?;
        }
        if let Mode::Picture { .. } = self.mode {
            writeln!(self.out)?;
        }
        self.out.flush()
    }

    /// How often it wants to show something.
    pub(super) fn pace(&self) -> Duration {
        match self.mode {
            Mode::Picture { .. } => Duration::from_millis(250),
            Mode::Lines { .. } | Mode::Silent => Duration::from_secs(1),
        }
    }

    /// Shows the moment.
    pub(super) fn show(&mut self, frame: &Frame) -> io::Result<()> {
        match self.mode {
            Mode::Picture { lines } => self.redraw(frame, lines),
            Mode::Lines { told } => self.tell(frame, told),
            Mode::Silent => Ok(()),
        }
    }

    fn redraw(&mut self, frame: &Frame, before: usize) -> io::Result<()> {
        let (rows, columns) = self.terminal.size();
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let mut lines = self.table.draw(frame, columns);
        lines.truncate(rows.saturating_sub(1).max(1));
        let mut picture = String::new();
        if before > 0 {
            let _ = write!(picture, "\x1b[{before}A\r");
        }
        for line in &lines {
            let line = truncate_str(line, columns.saturating_sub(1).max(1), "");
            let _ = writeln!(picture, "{line}\x1b[K");
        }
        picture.push_str("\x1b[J");
        self.mode = Mode::Picture { lines: lines.len() };
        self.out.write_all(picture.as_bytes())?;
        self.out.flush()
    }

    fn tell(&mut self, frame: &Frame, told: u64) -> io::Result<()> {
        let untold = usize::try_from(frame.story.transitions - told).unwrap_or(usize::MAX);
        let known = frame.story.latest.len();
        for event in frame.story.latest.iter().skip(known.saturating_sub(untold)) {
            writeln!(self.out, "{}", self.table.event(event))?;
        }
        writeln!(self.out, "{}", self.table.line(frame))?;
        self.mode = Mode::Lines { told: frame.story.transitions };
        self.out.flush()
    }
}

/// Whether a variable has a value that `fits`; an empty one counts as unset.
fn is_set(variable: &str, fits: impl FnOnce(&str) -> bool) -> bool {
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && fits(&value))
}

/// The first of these that is set decides, as for all programs.
fn speaks_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(|name| is_set(name, |_| true));
    let is_utf8 = |value: &str| value.to_ascii_lowercase().replace('-', "").contains("utf8");
    locale.is_some_and(|name| is_set(name, is_utf8))
}
