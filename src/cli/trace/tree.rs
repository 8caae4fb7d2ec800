//! A call as a tree over a time line, for a terminal.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use spillgate_actors::core::call::FlightId;
use spillgate_actors::decision::{self, Decision};
use spillgate_actors::phases::Phase;
use spillgate_actors::record::AttemptRecord;

use crate::cli::end::millis;
use crate::cli::trace::Answer;

/// A stretch of time in the tree.
struct Stretch {
    depth: usize,
    name: String,
    from: Instant,
    to: Instant,
    note: String,
}

/// The call: what it came to, its stretches, its decisions.
pub(super) fn of(answer: &Answer<'_>) -> String {
    let record = answer.record;
    let mut text = format!("{} {}\n{}\n\n", record.method, record.url, ending(answer));
    let stretches = stretches(answer);
    let (began, total) = (record.began, record.ended.saturating_duration_since(record.began));
    let last = last_of_depth(&stretches);
    let width = stretches.iter().map(|s| s.depth * 3 + s.name.len()).max().unwrap_or(0);
    let _ =
        writeln!(text, "{:width$}  {:>9}  start and length in {:.1} ms", "", "ms", millis(total));
    for (index, stretch) in stretches.iter().enumerate() {
        let guide = guide(&stretches, &last, index);
        let label = format!("{guide}{}", stretch.name);
        let padding = width.saturating_sub(label.chars().count());
        let length = millis(stretch.to.saturating_duration_since(stretch.from));
        let line = format!(
            "{label}{:padding$}  {length:>9.1}  {}  {}",
            "",
            bar(stretch, began, total),
            stretch.note
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str("\ndecisions\n");
    for Decision { at, attempt, what } in decision::of(record) {
        let at = format!("+{:.1}", millis(at));
        let attempt = attempt.map(|n| format!("attempt {n}")).unwrap_or_default();
        let _ = writeln!(text, "{at:>10} ms  {attempt:<9}  {what}");
    }
    text
}

fn ending(answer: &Answer<'_>) -> String {
    let record = answer.record;
    let came_to = match (answer.error, answer.status) {
        (Some(error), _) => format!("{}: {error}", error.kind().name()),
        (None, Some(status)) => format!("{status}, {} bytes", answer.bytes),
        (None, None) => "no answer".to_owned(),
    };
    let attempts = match record.attempts.len() {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    let total = millis(record.ended.saturating_duration_since(record.began));
    let flight = match (record.flight, record.role) {
        (Some(FlightId(n)), Some(role)) => format!("flight {n} ({})", role.name()),
        (_, _) => "no flight".to_owned(),
    };
    let (scope, trace) = (&record.scope, record.context.trace_id_hex());
    format!("{came_to}\n{attempts}, {total:.1} ms, {flight}, scope {scope}, trace {trace}")
}

fn stretches(answer: &Answer<'_>) -> Vec<Stretch> {
    let record = answer.record;
    let whole = Stretch {
        depth: 0,
        name: "call".to_owned(),
        from: record.began,
        to: record.ended,
        note: String::new(),
    };
    let waits = record.waits.iter().map(|wait| {
        let (from, to) = (wait.from, wait.to);
        vec![Stretch {
            depth: 1,
            name: wait.cause.name().to_owned(),
            from,
            to,
            note: String::new(),
        }]
    });
    let attempts = record.attempts.iter().map(|attempt| of_attempt(attempt));
    let mut groups: Vec<Vec<Stretch>> = waits.chain(attempts).collect();
    groups.sort_by_key(|group| group.first().map(|stretch| (stretch.from, stretch.to)));
    std::iter::once(whole).chain(groups.into_iter().flatten()).collect()
}

fn of_attempt(attempt: &AttemptRecord) -> Vec<Stretch> {
    let whole = Stretch {
        depth: 1,
        name: format!("attempt {}", attempt.n),
        from: attempt.began,
        to: attempt.ended,
        note: note(attempt),
    };
    let phases = attempt.phases.iter().map(|span| Stretch {
        depth: match span.phase {
            Phase::Acquire | Phase::Write | Phase::Wait | Phase::Read => 2,
            Phase::Connect => 3,
            Phase::Dns | Phase::Tcp | Phase::Tls => 4,
        },
        name: span.phase.span_name().to_owned(),
        from: span.from,
        to: span.to,
        note: String::new(),
    });
    std::iter::once(whole).chain(phases).collect()
}

fn note(attempt: &AttemptRecord) -> String {
    let mut parts = Vec::new();
    parts.extend(attempt.status.map(|status| status.to_string()));
    parts.extend(attempt.error.map(|kind| kind.name().to_owned()));
    parts.extend(attempt.version.map(|version| format!("{version:?}")));
    parts.extend(attempt.connection.map(|connection| {
        format!("{} connection to {}", connection.origin.name(), connection.peer)
    }));
    if attempt.is_probe() {
        parts.push("probe".to_owned());
    }
    if attempt.hedge {
        parts.push("hedge".to_owned());
    }
    parts.extend(attempt.chaos.as_ref().map(|fault| format!("chaos: {fault}")));
    parts.join(", ")
}

/// For each stretch, whether no sibling follows.
fn last_of_depth(stretches: &[Stretch]) -> Vec<bool> {
    let is_last = |(index, stretch): (usize, &Stretch)| {
        let mut after = stretches.iter().skip(index + 1);
        let next = after.find(|other| other.depth <= stretch.depth);
        next.is_none_or(|other| other.depth < stretch.depth)
    };
    stretches.iter().enumerate().map(is_last).collect()
}

/// The lines of the tree before a name.
fn guide(stretches: &[Stretch], last: &[bool], index: usize) -> String {
    let Some(depth) = stretches.get(index).map(|stretch| stretch.depth) else {
        return String::new();
    };
    let mut guide = String::new();
    for level in 1..=depth {
        let ancestor = (0..=index)
            .rev()
            .find(|at| stretches.get(*at).is_some_and(|stretch| stretch.depth == level));
        let is_last = ancestor.and_then(|at| last.get(at)).copied().unwrap_or(true);
        guide.push_str(match (level == depth, is_last) {
            (true, true) => "└─ ",
            (true, false) => "├─ ",
            (false, true) => "   ",
            (false, false) => "│  ",
        });
    }
    guide
}

/// Where the stretch lies in the whole; never without a mark.
fn bar(stretch: &Stretch, began: Instant, total: Duration) -> String {
    let column = |at: Instant| {
        let nanos = at.saturating_duration_since(began).as_nanos() * COLUMNS as u128;
        let column = nanos / total.as_nanos().max(1);
        usize::try_from(column).unwrap_or(COLUMNS).min(COLUMNS)
    };
    let from = column(stretch.from).min(COLUMNS - 1);
    let to = column(stretch.to).max(from + 1);
    format!("{}{}{}", " ".repeat(from), "█".repeat(to - from), " ".repeat(COLUMNS - to))
}

/// The width of the time line.
const COLUMNS: usize = 40;
