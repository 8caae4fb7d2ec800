//! Adds up what the calls for one URL came to: a body that breaks makes one call more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use spillgate_actors::core::verdict::Finality;
use spillgate_actors::error::Error;
use spillgate_actors::record::CallRecord;
use spillgate_actors::report::{CallReport, PhaseTimes};

use crate::cli::end::{End, millis};
use crate::cli::fetch::row::{Row, Times};
use crate::cli::told::Told;

/// What one call came to.
#[derive(Default)]
pub(crate) struct Outturn {
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// Why there is no answer, or no whole one.
    pub(crate) error: Option<Error>,
    pub(crate) bytes: u64,
    pub(crate) record: Option<Arc<CallRecord>>,
    /// From the head to the end of a streamed body.
    pub(crate) streaming: Option<Duration>,
    /// Whether the body broke after its head had been handed over.
    pub(crate) is_broken: bool,
    /// Why its file cannot be written, if it cannot.
    pub(crate) unwritable: Option<String>,
}

/// What the calls for one URL came to so far.
pub(crate) struct Tally {
    pub(crate) began: Instant,
    /// Attempts on the wire.
    pub(crate) attempts: u32,
    /// What was decided, if that is to be told.
    pub(crate) decisions: Option<Vec<Told>>,
    is_coalesced: bool,
    queue: Option<Duration>,
    back_off: Option<Duration>,
    phases: PhaseTimes,
    trace_id: Option<String>,
}

impl Outturn {
    /// How it ends its URL, if it is the last.
    pub(crate) fn end(&self) -> End {
        if self.unwritable.is_some() {
            return End::Unwritable;
        }
        match (&self.error, self.status) {
            (Some(error), _) => End::Failed(error.kind(), error.class()),
            (None, Some(status)) => End::of_status(status),
            (None, None) => End::Fine,
        }
    }

    /// What a final status says, with the reason why it is final if there is one.
    fn declined(&self, status: u16) -> String {
        let finality = self.record.as_deref().and_then(|record| record.finality);
        match finality.filter(|finality| *finality != Finality::Settled) {
            Some(finality) => format!("the answer is {status}; {}", finality.words()),
            None => format!("the answer is {status}"),
        }
    }

    /// The status of the last answer there was, whole or not.
    fn last_status(&self) -> Option<u16> {
        let of_error = || self.error.as_ref()?.last_status().map(|status| status.as_u16());
        self.status.or_else(of_error)
    }
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            attempts: 0,
            decisions: None,
            is_coalesced: false,
            queue: None,
            back_off: None,
            phases: PhaseTimes::default(),
            trace_id: None,
        }
    }

    /// Adds a call.
    pub(crate) fn add(&mut self, outturn: &Outturn) {
        let Some(record) = &outturn.record else { return };
        let report = CallReport::of(record);
        self.attempts = self.attempts.saturating_add(report.attempts);
        self.is_coalesced |= report.coalesced;
        self.queue = sum(self.queue, Some(report.queue_wait));
        self.back_off = sum(self.back_off, Some(report.back_off));
        let (sums, phases) = (&mut self.phases, report.phases);
        sums.dns = sum(sums.dns, phases.dns);
        sums.connect = sum(sums.connect, phases.connect);
        sums.tls = sum(sums.tls, phases.tls);
        sums.write = sum(sums.write, phases.write);
        sums.wait = sum(sums.wait, phases.wait);
        sums.read = sum(sums.read, outturn.streaming.or(phases.read));
        self.trace_id = Some(report.trace_id);
    }

    /// The row, with what the last call came to.
    pub(crate) fn row(
        self,
        (index, url): (u64, String),
        method: &Method,
        outturn: &Outturn,
        file: Option<String>,
    ) -> Row {
        let end = outturn.end();
        let (kind, class) = end.kind_and_class();
        let error = match (&outturn.error, end) {
            (_, End::Unwritable) => outturn.unwritable.clone(),
            (Some(error), _) => Some(error.to_string()),
            (None, End::Failed(..)) => outturn.status.map(|status| outturn.declined(status)),
            (None, End::Fine) => None,
        };
        let ms = |duration: Option<Duration>| duration.map(millis);
        let phases = &self.phases;
        Row {
            index,
            url,
            method: method.to_string(),
            status: outturn.last_status(),
            outcome: end.outcome(),
            error_kind: kind,
            class,
            attempts: self.attempts,
            cache: None,
            coalesced: self.is_coalesced,
            bytes: outturn.bytes,
            file,
            trace_id: self.trace_id,
            ms: Times {
                queue: ms(self.queue),
                backoff: ms(self.back_off),
                dns: ms(phases.dns),
                connect: ms(phases.connect),
                tls: ms(phases.tls),
                write: ms(phases.write),
                wait: ms(phases.wait),
                read: ms(phases.read),
                total: millis(self.began.elapsed()),
            },
            error,
            decisions: self.decisions,
        }
    }
}

fn sum(one: Option<Duration>, two: Option<Duration>) -> Option<Duration> {
    one.map_or(two, |one| Some(one.saturating_add(two.unwrap_or_default())))
}
