//! The live picture as lines of text: a row per upstream, the totals, the latest of the breakers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use console::{Alignment, Style, pad_str, style};
use spillgate_actors::core::event::{BreakerEvent, BreakerState};
use spillgate_actors::core::policy::Limits;
use spillgate_actors::snapshot::{HostSnapshot, Snapshot};

use super::chronicle::Story;
use super::tally::Callers;
use super::upstreams::Upstream;

/// What is shown at one moment.
pub(super) struct Frame {
    /// When.
    pub(super) at: Instant,
    /// What the client publishes.
    pub(super) client: Snapshot,
    /// What the callers count.
    pub(super) callers: Callers,
    /// What the breakers told.
    pub(super) story: Story,
}

/// Draws frames.
pub(super) struct Table {
    upstreams: Vec<Upstream>,
    began: Instant,
    /// For how long the callers are to call; until told if `None`.
    lasts: Option<Duration>,
    look: Look,
    /// Attempts by upstream, for the last second.
    samples: VecDeque<(Instant, Vec<u64>)>,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Whether colours are shown; nothing is said by colour alone.
    pub(super) colours: bool,
    /// Whether more than ASCII is shown.
    pub(super) unicode: bool,
}

impl Table {
    /// An empty picture.
    pub(super) fn new(
        upstreams: &[Upstream],
        began: Instant,
        lasts: Option<Duration>,
        look: Look,
    ) -> Self {
        Self { upstreams: upstreams.to_vec(), began, lasts, look, samples: VecDeque::new() }
    }

    /// The picture, for a terminal of that many columns.
    pub(super) fn draw(&mut self, frame: &Frame, columns: usize) -> Vec<String> {
        let rates = self.rates(frame);
        let wide = columns >= WIDE;
        let mut lines = vec![self.title(frame), String::new(), self.header(wide)];
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let rate = rates.get(index).copied().unwrap_or(0);
            lines.push(match host_of(&frame.client, upstream) {
                Some(host) => self.row(upstream, host, rate, wide),
                None => format!(" {}", name_of(upstream, wide)),
            });
        }
        lines.push(String::new());
        lines.extend(totals(frame));
        lines.push(String::new());
        let latest = frame.story.latest.iter().rev().take(EVENTS_SHOWN).collect::<Vec<_>>();
        lines.push(self.dim("breakers"));
        for shown in (0..EVENTS_SHOWN).rev() {
            let event = latest.get(shown).map(|event| self.event(event));
            if event.is_some() || latest.is_empty() && shown == 0 {
                lines.push(event.unwrap_or_else(|| "   all closed so far".to_owned()));
            }
        }
        lines
    }

    /// The frame in one line, for logs.
    pub(super) fn line(&mut self, frame: &Frame) -> String {
        let rate: u64 = self.rates(frame).iter().sum();
        let Callers { answers, ok, errors, rejected, coalesced, .. } = frame.callers;
        let Snapshot { running, queued, .. } = frame.client;
        let retries: u64 = frame.client.hosts.iter().map(|host| host.retries).sum();
        let shut = self.upstreams.iter().filter_map(|upstream| {
            let host = host_of(&frame.client, upstream)?;
            let name = &upstream.name;
            (host.breaker != BreakerState::Closed)
                .then(|| format!("{name} {}", state_name(host.breaker)))
        });
        let shut: Vec<String> = shut.collect();
        let shut = if shut.is_empty() { "closed".to_owned() } else { shut.join(", ") };
        format!(
            "{:>6.1} s  answers {answers}  ok {ok}  errors {errors}  rejected {rejected}  \
             shared {coalesced}  retries {retries}  attempts/s {rate}  in flight {running}  \
             queued {queued}  breakers {shut}",
            self.elapsed(frame.at)
        )
    }

    /// A change of a breaker in one line.
    pub(super) fn event(&self, event: &BreakerEvent) -> String {
        let known = self.upstreams.iter().find(|upstream| upstream.url == *event.scope);
        let name = known.map_or(&*event.scope, |upstream| &upstream.name);
        let (from, to) = (state_name(event.from), state_name(event.to));
        let to = self.paint(to, state_style(event.to));
        let reason = match (event.to, event.reason) {
            (BreakerState::Open, Some(reason)) => format!(": {reason}"),
            (BreakerState::Open | BreakerState::HalfOpen | BreakerState::Closed, _) => {
                String::new()
            }
        };
        format!("{:>6.1} s  {name}  {from} -> {to}{reason}", self.elapsed(event.at))
    }

    fn title(&self, frame: &Frame) -> String {
        let elapsed = self.elapsed(frame.at);
        let of = match self.lasts {
            Some(lasts) => format!("of {} s", lasts.as_secs()),
            None => "until Ctrl-C".to_owned(),
        };
        let name = self.paint("spillgate demo", Style::new().bold());
        let slots = frame.client.hosts.iter().map(|host| host.slots_max).max().unwrap_or(0);
        let in_all = Limits::default().global;
        format!("{name}  {elapsed:.1} s {of}   slots: {slots} an upstream, {in_all} in all")
    }

    fn header(&self, wide: bool) -> String {
        let slots = if wide { "SLOTS     " } else { "SLOTS" };
        let name = pad_str("UPSTREAM", name_width(wide), Alignment::Left, None);
        self.dim(&format!(
            " {name} BREAKER   {slots} {:>11} {:>5} {:>5} {:>6} {:>5} {:>5} {:>6}",
            "QUE c/f/n/b", "ATT/S", "RETRY", "SHARED", "P50", "P95", "BUDGET"
        ))
    }

    fn row(&self, upstream: &Upstream, host: &HostSnapshot, rate: u64, wide: bool) -> String {
        let state = pad_str(state_name(host.breaker), 9, Alignment::Left, None);
        let state = self.paint(&state, state_style(host.breaker));
        let count = format!("{}/{}", host.running, host.slots_max);
        let slots =
            if wide { format!("{} {count:<3}", self.bar(host)) } else { format!("{count:<5}") };
        let [critical, foreground, normal, background] = host.queued;
        let queue = format!("{critical}/{foreground}/{normal}/{background}");
        format!(
            " {} {state} {slots} {queue:>11} {rate:>5} {:>5} {:>6} {:>5} {:>5} {:>6.1}",
            name_of(upstream, wide),
            host.retries,
            host.coalesced,
            milliseconds(host.p50),
            milliseconds(host.p95),
            host.tokens
        )
    }

    fn bar(&self, host: &HostSnapshot) -> String {
        let (full, empty) = if self.look.unicode { ("▮", "▯") } else { ("#", ".") };
        let (running, max) = (host.running as usize, host.slots_max as usize);
        let style = if running < max { Style::new().cyan() } else { Style::new().yellow() };
        let full = self.paint(&full.repeat(running.min(BAR_MAX)), style);
        format!("{full}{}", empty.repeat(max.min(BAR_MAX).saturating_sub(running)))
    }

    /// Attempts of each upstream in the last second.
    fn rates(&mut self, frame: &Frame) -> Vec<u64> {
        let attempts: Vec<u64> = self
            .upstreams
            .iter()
            .map(|upstream| host_of(&frame.client, upstream).map_or(0, |host| host.attempts))
            .collect();
        while self.samples.get(1).is_some_and(|(at, _)| *at + SECOND <= frame.at) {
            self.samples.pop_front();
        }
        let before = self.samples.front().cloned();
        self.samples.push_back((frame.at, attempts.clone()));
        let Some((at, before)) = before else { return vec![0; attempts.len()] };
        let millis = frame.at.saturating_duration_since(at).as_millis().max(1);
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let since = attempts.iter().zip(before);
        since.map(|(now, before)| now.saturating_sub(before) * 1_000 / millis).collect()
    }

    fn elapsed(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.began).as_secs_f64()
    }

    fn paint(&self, text: &str, look: Style) -> String {
        if !self.look.colours {
            return text.to_owned();
        }
        look.force_styling(true).apply_to(text).to_string()
    }

    fn dim(&self, text: &str) -> String {
        if !self.look.colours {
            return text.to_owned();
        }
        style(text).dim().force_styling(true).to_string()
    }
}

fn host_of<'a>(client: &'a Snapshot, upstream: &Upstream) -> Option<&'a HostSnapshot> {
    client.hosts.iter().find(|host| *host.host == *upstream.url)
}

fn totals(frame: &Frame) -> [String; 2] {
    let Callers { calls, answers, ok, errors, rejected, cancelled, coalesced, .. } = frame.callers;
    let Snapshot { running, running_peak, queued, .. } = frame.client;
    let sent: u64 = frame.client.hosts.iter().map(|host| host.attempts).sum();
    let retries: u64 = frame.client.hosts.iter().map(|host| host.retries).sum();
    [
        format!(
            " calls {calls}  answers {answers}  ok {ok}  errors {errors} (cancelled {cancelled})  \
             rejected {rejected}"
        ),
        format!(
            " attempts {sent}  retries {retries}  shared {coalesced}  in flight {running} (at most \
             {running_peak})  queued {queued}"
        ),
    ]
}

/// States in words that do not need colour: what is not well is in capitals.
fn state_name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open => "OPEN",
        BreakerState::HalfOpen => "HALF-OPEN",
    }
}

fn state_style(state: BreakerState) -> Style {
    match state {
        BreakerState::Closed => Style::new().green(),
        BreakerState::Open => Style::new().red().bold(),
        BreakerState::HalfOpen => Style::new().yellow().bold(),
    }
}

fn milliseconds(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1_000.0;
    if millis < 10.0 { format!("{millis:.1}ms") } else { format!("{millis:.0}ms") }
}

fn name_of(upstream: &Upstream, wide: bool) -> String {
    let text = if wide {
        format!("{} {}", upstream.name, upstream.character())
    } else {
        upstream.name.clone()
    };
    pad_str(&text, name_width(wide), Alignment::Left, Some("")).into_owned()
}

fn name_width(wide: bool) -> usize {
    if wide { 21 } else { 11 }
}

/// Columns from which roles and bars are shown.
const WIDE: usize = 100;
const BAR_MAX: usize = 6;
const EVENTS_SHOWN: usize = 5;
const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_says_all_without_colours_and_fits_eighty_columns() {
        let mut table = table(Look { colours: false, unicode: false });
        let lines = table.draw(&frame(Duration::ZERO, 0), 80);
        assert!(lines.iter().any(|line| line.contains("upstream-1  OPEN      6/6    0/1/20/250")));
        assert!(lines.iter().all(|line| !line.contains('\u{1b}') && line.is_ascii()), "{lines:?}");
        let widest = lines.iter().map(|line| console::measure_text_width(line)).max();
        assert!(widest <= Some(79), "{lines:#?}");
    }

    #[test]
    fn wide_picture_shows_roles_and_bars() {
        let mut table = table(Look { colours: true, unicode: true });
        let lines = table.draw(&frame(Duration::ZERO, 0), WIDE);
        let plain: Vec<_> = lines.iter().map(|line| console::strip_ansi_codes(line)).collect();
        assert!(
            plain.iter().any(|line| line.contains("upstream-1 failing    OPEN      ▮▮▮▮▮▮ 6/6"))
        );
        assert!(lines.iter().any(|line| line.contains('\u{1b}')));
        assert!(plain.iter().all(|line| console::measure_text_width(line) < WIDE), "{plain:#?}");
    }

    #[test]
    fn rate_is_that_of_the_last_second() {
        let mut table = table(Look { colours: false, unicode: false });
        let shown = [(0, 0), (500, 50), (1_000, 100), (1_500, 400), (2_000, 700)];
        let rates: Vec<Vec<u64>> = shown
            .into_iter()
            .map(|(ms, attempts)| table.rates(&frame(Duration::from_millis(ms), attempts)))
            .collect();
        assert_eq!(rates, [[0], [100], [100], [350], [600]]);
    }

    fn table(look: Look) -> Table {
        let upstream = Upstream {
            name: "upstream-1".to_owned(),
            url: "http://127.0.0.1:1".to_owned(),
            roles: vec![crate::cli::demo::upstreams::Role::Failing],
        };
        Table::new(&[upstream], *BEGAN, None, look)
    }

    fn frame(since: Duration, attempts: u64) -> Frame {
        let host = HostSnapshot {
            host: "http://127.0.0.1:1".into(),
            breaker: BreakerState::Open,
            running: 6,
            running_peak: 6,
            slots_max: 6,
            queued: [0, 1, 20, 250],
            attempts,
            retries: 12_345,
            hedges: 0,
            successes: 0,
            failures: 0,
            refusals: 0,
            coalesced: 123_456,
            p50: Duration::from_micros(900),
            p95: Duration::from_millis(999),
            tokens: 10.0,
        };
        let client = Snapshot {
            calls: 0,
            answers: 0,
            coalesced: 0,
            running: 6,
            running_peak: 6,
            queued: 271,
            records_dropped: 0,
            hosts: vec![host],
            breakers: Vec::new(),
        };
        let (callers, story) = (Callers::default(), Story::default());
        Frame { at: *BEGAN + since, client, callers, story }
    }

    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
}
