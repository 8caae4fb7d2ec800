//! The phases of an attempt, noted as they pass.
//!
//! One enum is phase, timeout and span name at once. Marks are atomics because a connect can
//! outlive the attempt that caused it and run beside it; each mark is written once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A stretch of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// From the start until a connection was at hand; contains `Connect` if this attempt connected.
    Acquire,
    /// From the wish for a new connection until it stood; contains the next three.
    Connect,
    /// Name resolution.
    Dns,
    /// The socket's connect.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// Head and body of the request on their way out.
    Write,
    /// From the request's last byte to the answer's head.
    Wait,
    /// From the answer's head to the body's last byte.
    Read,
}

impl Phase {
    /// All phases, in the order they begin.
    pub const ALL: [Self; 8] = [
        Self::Acquire,
        Self::Connect,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Write,
        Self::Wait,
        Self::Read,
    ];

    /// The span's name; connection phases follow the .NET precedent in OpenTelemetry.
    pub fn span_name(self) -> &'static str {
        match self {
            Self::Acquire => "wait_for_connection",
            Self::Connect => "connect",
            Self::Dns => "DNS lookup",
            Self::Tcp => "socket connect",
            Self::Tls => "TLS client handshake",
            Self::Write => "request write",
            Self::Wait => "response wait",
            Self::Read => "response read",
        }
    }
}

/// A point in an attempt at which a phase begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Mark {
    /// This attempt caused a connect.
    ConnectBegin,
    /// The connect it caused ended, well or badly.
    ConnectEnd,
    /// Name resolution began. Absent for IP literals.
    DnsBegin,
    /// Name resolution ended.
    DnsEnd,
    /// The TLS handshake began. Absent for plain http.
    TlsBegin,
    /// The TLS handshake ended.
    TlsEnd,
    /// The request was picked up by a connection.
    WriteBegin,
    /// The request's last byte was handed to the connection.
    WriteEnd,
    /// The answer's head was there.
    Head,
    /// The answer's last byte was there, or reading ended otherwise.
    ReadEnd,
}

/// When each mark of one attempt passed.
#[derive(Debug)]
pub struct PhaseMarks {
    began: Instant,
    marks: [AtomicU64; MARKS],
    injected: OnceLock<Arc<str>>,
}

/// A phase with its two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseSpan {
    /// Which phase.
    pub phase: Phase,
    /// Its beginning.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
}

impl PhaseMarks {
    /// Marks for an attempt that begins at `began`.
    pub fn new(began: Instant) -> Arc<Self> {
        Arc::new(Self { began, marks: Default::default(), injected: OnceLock::new() })
    }

    /// Notes that `mark` passes at this instant; the first note counts.
    pub fn note(&self, mark: Mark) {
        self.note_at(mark, Instant::now());
    }

    /// Notes that `mark` passed at `at`; the first note counts.
    pub fn note_at(&self, mark: Mark, at: Instant) {
        let nanos = u64::try_from(at.saturating_duration_since(self.began).as_nanos());
        let stored = nanos.unwrap_or(u64::MAX).max(1);
        if let Some(cell) = self.marks.get(mark as usize) {
            let _ = cell.compare_exchange(0, stored, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Notes that a transport injects a fault, in words; the first note counts.
    pub fn note_injected(&self, fault: impl Into<Arc<str>>) {
        let _ = self.injected.set(fault.into());
    }

    /// The fault that was injected, if one was.
    pub fn injected(&self) -> Option<&Arc<str>> {
        self.injected.get()
    }

    /// When the attempt began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// When `mark` passed, if it did.
    pub fn at(&self, mark: Mark) -> Option<Instant> {
        let nanos = self.marks.get(mark as usize)?.load(Ordering::Relaxed);
        (nanos != 0).then(|| self.began + Duration::from_nanos(nanos))
    }

    /// The phases that took place, in order; a phase cut short ends at `ended`.
    pub fn spans(&self, ended: Instant) -> Vec<PhaseSpan> {
        let mut spans = Vec::with_capacity(Phase::ALL.len());
        for phase in Phase::ALL {
            if let Some((from, to)) = self.ends(phase, ended) {
                spans.push(PhaseSpan { phase, from, to: to.max(from).min(ended.max(from)) });
            }
        }
        spans
    }

    fn ends(&self, phase: Phase, ended: Instant) -> Option<(Instant, Instant)> {
        let or_ended = |mark| self.at(mark).unwrap_or(ended);
        match phase {
            Phase::Acquire => Some((self.began, or_ended(Mark::WriteBegin))),
            Phase::Connect => self.at(Mark::ConnectBegin).map(|b| (b, or_ended(Mark::ConnectEnd))),
            Phase::Dns => self.at(Mark::DnsBegin).map(|b| (b, or_ended(Mark::DnsEnd))),
            Phase::Tcp => {
                let begin = self.at(Mark::DnsEnd).or_else(|| {
                    // An IP literal resolves nothing: its socket connects at once.
                    self.at(Mark::DnsBegin).is_none().then(|| self.at(Mark::ConnectBegin)).flatten()
                })?;
                let end = self.at(Mark::TlsBegin).or_else(|| self.at(Mark::ConnectEnd));
                Some((begin, end.unwrap_or(ended)))
            }
            Phase::Tls => {
                let end = self.at(Mark::TlsEnd).or_else(|| self.at(Mark::ConnectEnd));
                self.at(Mark::TlsBegin).map(|b| (b, end.unwrap_or(ended)))
            }
            Phase::Write => {
                // An answer that comes before the body is through ends what is told of writing.
                let ends = [self.at(Mark::WriteEnd), self.at(Mark::Head)];
                let end = ends.into_iter().flatten().min();
                self.at(Mark::WriteBegin).map(|b| (b, end.unwrap_or(ended)))
            }
            Phase::Wait => {
                let (begin, end) = (self.at(Mark::WriteEnd)?, or_ended(Mark::Head));
                (begin <= end).then_some((begin, end))
            }
            Phase::Read => self.at(Mark::Head).map(|b| (b, or_ended(Mark::ReadEnd))),
        }
    }
}

const MARKS: usize = Mark::ReadEnd as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_note_counts_and_phases_follow_the_marks() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let marks = PhaseMarks::new(began);
        for (mark, ms) in [
            (Mark::ConnectBegin, 1),
            (Mark::DnsBegin, 1),
            (Mark::DnsEnd, 3),
            (Mark::TlsBegin, 5),
            (Mark::TlsEnd, 9),
            (Mark::ConnectEnd, 9),
            (Mark::WriteBegin, 10),
            (Mark::WriteEnd, 11),
            (Mark::Head, 20),
            (Mark::ReadEnd, 22),
        ] {
            marks.note_at(mark, at(ms));
            marks.note_at(mark, at(99));
        }
        let spans: Vec<_> = marks
            .spans(at(22))
            .iter()
            .map(|span| (span.phase, span.from - began, span.to - began))
            .collect();
        let ms = Duration::from_millis;
        assert_eq!(
            spans,
            [
                (Phase::Acquire, ms(0), ms(10)),
                (Phase::Connect, ms(1), ms(9)),
                (Phase::Dns, ms(1), ms(3)),
                (Phase::Tcp, ms(3), ms(5)),
                (Phase::Tls, ms(5), ms(9)),
                (Phase::Write, ms(10), ms(11)),
                (Phase::Wait, ms(11), ms(20)),
                (Phase::Read, ms(20), ms(22)),
            ]
        );
    }

    #[test]
    fn early_answer_ends_the_writing_and_is_not_waited_for() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let marks = PhaseMarks::new(began);
        for (mark, ms) in
            [(Mark::WriteBegin, 1), (Mark::Head, 4), (Mark::WriteEnd, 6), (Mark::ReadEnd, 8)]
        {
            marks.note_at(mark, at(ms));
        }
        let spans = marks.spans(at(8));
        let phases: Vec<_> = spans.iter().map(|span| (span.phase, span.from, span.to)).collect();
        assert_eq!(
            phases,
            [
                (Phase::Acquire, began, at(1)),
                (Phase::Write, at(1), at(4)),
                (Phase::Read, at(4), at(8)),
            ]
        );
    }

    #[test]
    fn phase_cut_short_ends_with_the_attempt() {
        let began = Instant::now();
        let marks = PhaseMarks::new(began);
        marks.note_at(Mark::WriteBegin, began + Duration::from_millis(1));
        marks.note_at(Mark::WriteEnd, began + Duration::from_millis(2));
        let ended = began + Duration::from_millis(5);
        let last = marks.spans(ended).pop().map(|span| (span.phase, span.to));
        assert_eq!(last, Some((Phase::Wait, ended)));
    }
}
