//! How far a run has come, on stderr: bars on a terminal, a line now and then elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use spillgate_actors::core::event::BreakerState;
use spillgate_actors::snapshot::{HostSnapshot, Snapshot};

/// How progress is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// A bar and a line for each host
    Bar,
    /// A line every two seconds
    Plain,
    /// Nothing
    None,
}

/// What happened so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) began: Instant,
    /// How many URLs there are, where that is known.
    pub(crate) total: Option<u64>,
    /// Those that an earlier run had finished.
    pub(crate) skipped: u64,
    /// Those taken from the input, without the skipped ones.
    pub(crate) accepted: u64,
    pub(crate) fine: u64,
    pub(crate) failed: u64,
    pub(crate) rejected: u64,
    pub(crate) bytes: u64,
}

/// Shows how far a run has come.
pub(crate) enum Progress {
    None,
    Plain,
    Bars(Box<Bars>),
}

/// The bars on a terminal.
pub(crate) struct Bars {
    screen: MultiProgress,
    overall: ProgressBar,
    hosts: Vec<ProgressBar>,
}

impl Progress {
    /// What suits the mode and the terminal.
    pub(crate) fn new(mode: Mode) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let draws = io::stderr().is_terminal() && !is_dumb;
        match mode {
            Mode::None => Self::None,
            Mode::Bar => Self::Bars(Box::new(Bars::new())),
            Mode::Auto if draws => Self::Bars(Box::new(Bars::new())),
            Mode::Auto | Mode::Plain => Self::Plain,
        }
    }

    /// How often to show it.
    pub(crate) fn period(&self) -> Duration {
        match self {
            Self::None => Duration::from_secs(3600),
            Self::Plain => Duration::from_secs(2),
            Self::Bars(_) => Duration::from_millis(125),
        }
    }

    /// The screen that others must not write into.
    pub(crate) fn screen(&self) -> Option<MultiProgress> {
        match self {
            Self::Bars(bars) => Some(bars.screen.clone()),
            Self::None | Self::Plain => None,
        }
    }

    /// Shows the state of this moment.
    pub(crate) fn show(&mut self, counts: &Counts, snapshot: &Snapshot) {
        match self {
            Self::None => {}
            Self::Plain => self.say(&counts.line(snapshot)),
            Self::Bars(bars) => bars.show(counts, snapshot),
        }
    }

    /// Says something that stays, whatever the mode.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::None | Self::Plain => drop(writeln!(io::stderr().lock(), "{text}")),
            Self::Bars(bars) => drop(bars.screen.println(text)),
        }
    }

    /// Takes the bars away and says what it came to.
    pub(crate) fn end(&self, counts: &Counts) {
        match self {
            Self::None => {}
            Self::Plain => self.say(&counts.summary()),
            Self::Bars(bars) => {
                let _ = bars.screen.clear();
                let _ = writeln!(io::stderr().lock(), "{}", counts.summary());
            }
        }
    }
}

impl Bars {
    fn new() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS));
        let overall = screen.add(ProgressBar::no_length());
        Self { screen, overall, hosts: Vec::new() }
    }

    fn show(&mut self, counts: &Counts, snapshot: &Snapshot) {
        let texts = host_lines(snapshot);
        while self.hosts.len() < texts.len() {
            let bar = self.screen.insert_before(&self.overall, ProgressBar::no_length());
            bar.set_style(style("{wide_msg}"));
            self.hosts.push(bar);
        }
        let blank = String::new();
        let padded = texts.iter().chain(std::iter::repeat(&blank));
        for (bar, text) in self.hosts.iter().zip(padded) {
            bar.set_message(text.clone());
        }
        match counts.total {
            Some(total) if self.overall.length() != Some(total) => {
                self.overall.set_length(total);
                self.overall.set_style(style(KNOWN));
            }
            Some(_) => {}
            None => self.overall.set_style(style(UNKNOWN)),
        }
        self.overall.set_message(counts.words());
        self.overall.set_position(counts.ended() + counts.skipped);
        self.overall.tick();
    }
}

impl Counts {
    /// Nothing yet.
    pub(crate) fn new(total: Option<u64>) -> Self {
        Self {
            began: Instant::now(),
            total,
            skipped: 0,
            accepted: 0,
            fine: 0,
            failed: 0,
            rejected: 0,
            bytes: 0,
        }
    }

    /// Those that have a row.
    pub(crate) fn ended(&self) -> u64 {
        self.fine + self.failed + self.rejected
    }

    /// Those taken that have no row.
    pub(crate) fn unfinished(&self) -> u64 {
        self.accepted.saturating_sub(self.ended())
    }

    /// Those not even taken, where that is known.
    pub(crate) fn untaken(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.accepted + self.skipped))
    }

    fn rate(&self) -> HumanBytes {
        let nanos = self.began.elapsed().as_nanos().max(1);
        let rate = u128::from(self.bytes) * 1_000_000_000 / nanos;
        HumanBytes(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    fn words(&self) -> String {
        let Self { fine, failed, rejected, bytes, .. } = *self;
        let mut text = format!("{fine} ok");
        for (count, what) in [(failed, "failed"), (rejected, "rejected")] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        let _ = write!(text, "  {} at {}/s", HumanBytes(bytes), self.rate());
        text
    }

    fn line(&self, snapshot: &Snapshot) -> String {
        let done = self.ended() + self.skipped;
        let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
        let mut text = format!("{done}{of} done: {}", self.words());
        let _ = write!(text, ", {} running, {} queued", snapshot.running, snapshot.queued);
        let under_way = u64::from(snapshot.running) + snapshot.queued as u64;
        let waiting = self.unfinished().saturating_sub(under_way);
        if waiting > 0 {
            let _ = write!(text, ", {waiting} waiting for a time or a circuit");
        }
        if let Some(left) = self.time_left() {
            let _ = write!(text, ", about {} s left", left.as_secs());
        }
        let troubled = snapshot.hosts.iter().filter(|host| host.breaker != BreakerState::Closed);
        for host in troubled.take(HOSTS_MAX) {
            let _ = write!(text, "; {} {}", host.host, host.breaker.name());
        }
        text
    }

    /// As long again as the rest is to what is done.
    fn time_left(&self) -> Option<Duration> {
        let left = self.total?.checked_sub(self.ended() + self.skipped)?;
        let (ended, left) = (u32::try_from(self.ended()).ok()?, u32::try_from(left).ok()?);
        self.began.elapsed().checked_mul(left)?.checked_div(ended)
    }

    fn summary(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let urls = if self.ended() == 1 { "URL" } else { "URLs" };
        let mut text = format!("{} {urls} in {seconds:.1} s: {}", self.ended(), self.words());
        if self.skipped > 0 {
            let _ = write!(text, "; {} finished earlier", self.skipped);
        }
        text
    }
}

/// One line for each of the busiest hosts, and one for all others.
fn host_lines(snapshot: &Snapshot) -> Vec<String> {
    let mut hosts: Vec<&HostSnapshot> = snapshot.hosts.iter().collect();
    hosts.sort_by_key(|host| (std::cmp::Reverse(load(host)), &host.host));
    let shown = hosts.iter().take(HOSTS_MAX);
    let width = shown.clone().map(|host| host.host.len()).max().unwrap_or(0).min(HOST_WIDTH);
    let mut lines: Vec<String> = shown.map(|host| host_line(host, width)).collect();
    if hosts.len() > HOSTS_MAX {
        lines.push(format!("and {} more hosts", hosts.len() - HOSTS_MAX));
    }
    lines
}

fn host_line(host: &HostSnapshot, width: usize) -> String {
    let state = console::style(format!("{:<9}", host.breaker.name())).for_stderr();
    let state = match host.breaker {
        BreakerState::Closed => state.green(),
        BreakerState::HalfOpen => state.yellow(),
        BreakerState::Open => state.red().bold(),
    };
    let queued: usize = host.queued.iter().sum();
    let HostSnapshot { host: name, running, slots_max, successes, failures, retries, .. } = host;
    format!(
        "{name:width$}  {state} slots {running}/{slots_max}  queue {queued}  ok {successes}  \
         failed {failures}  retries {retries}  p95 {} ms",
        host.p95.as_millis()
    )
}

fn load(host: &HostSnapshot) -> usize {
    host.running as usize + host.queued.iter().sum::<usize>()
}

fn style(template: &str) -> ProgressStyle {
    let bar = ProgressStyle::default_bar();
    bar.template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// Of a run whose length is known.
const KNOWN: &str = "[{bar:24}] {pos}/{len}  {msg}  {elapsed} gone, eta {eta}";
/// Of a run that reads its input still.
const UNKNOWN: &str = "{spinner} {pos}  {msg}  {elapsed} gone";
/// Hosts that have a line of their own.
const HOSTS_MAX: usize = 6;
/// Columns of a host's name before the others give way.
const HOST_WIDTH: usize = 40;
/// Draws a second.
const DRAWS: u8 = 10;
