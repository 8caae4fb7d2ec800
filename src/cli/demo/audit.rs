//! What the upstreams' ledger says about the client: the same numbers, counted at the other end.

use std::collections::HashMap;

use http::Method;

use crate::testing::Drill;
use crate::testing::ledger::Ledger;
use crate::testing::received::Received;

/// What the upstreams saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Audit {
    /// Requests received.
    pub(super) requests: u64,
    /// Requests in flight at this moment.
    pub(super) in_flight: usize,
    /// The most there ever were at once.
    pub(super) peak_in_flight: usize,
    /// The most there ever were at once at one upstream.
    pub(super) peak_in_flight_per_host: usize,
    /// Requests whose client left before the answer ended.
    pub(super) aborted: u64,
    /// What the log tells beyond counts.
    pub(super) log: LogAudit,
}

/// What the logged requests tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LogAudit {
    /// Requests of the log; the oldest are dropped when it is full.
    pub(super) requests: u64,
    /// Requests that came after another of the same trace.
    pub(super) retries: u64,
    /// The most requests of one trace.
    pub(super) attempts_most: u64,
    /// The most often that one request without an idempotency key came whose method needs one.
    pub(super) unsafe_most: u64,
    /// Retries whose idempotency key was not that of the request before.
    pub(super) keys_changed: u64,
}

#[derive(Default)]
struct Trace {
    requests: u64,
    key: Option<String>,
}

impl Audit {
    /// Reads the ledger; its upstreams wait meanwhile.
    pub(super) fn of(drill: &Drill) -> Self {
        drill.read(|ledger| Self { log: LogAudit::of(ledger.requests()), ..Self::counts(ledger) })
    }

    fn counts(ledger: &Ledger) -> Self {
        Self {
            requests: ledger.hits(),
            in_flight: ledger.in_flight(),
            peak_in_flight: ledger.peak(),
            peak_in_flight_per_host: ledger.peak_per_host(),
            aborted: ledger.aborted_in_all(),
            log: LogAudit::default(),
        }
    }

    /// The retries received, if the log still holds every request.
    pub(super) fn retries(&self) -> Option<u64> {
        (self.log.requests == self.requests).then_some(self.log.retries)
    }
}

impl LogAudit {
    fn of<'a>(log: impl Iterator<Item = &'a Received>) -> Self {
        let mut traces: HashMap<String, Trace> = HashMap::new();
        let mut unsafe_requests: HashMap<String, u64> = HashMap::new();
        let mut audit = Self::default();
        for received in log {
            audit.requests += 1;
            let key = received.header("idempotency-key").map(str::to_owned);
            if *received.method() != Method::GET && key.is_none() {
                let times = unsafe_requests.entry(received.target()).or_default();
                *times += 1;
                audit.unsafe_most = audit.unsafe_most.max(*times);
            }
            let trace = traces.entry(trace_of(received)).or_default();
            trace.requests += 1;
            audit.attempts_most = audit.attempts_most.max(trace.requests);
            if trace.requests > 1 {
                audit.retries += 1;
                audit.keys_changed += u64::from(trace.key != key);
            }
            trace.key = key;
        }
        audit
    }
}

/// The trace that a request belongs to: the attempts of one flight, and of no other.
fn trace_of(received: &Received) -> String {
    let parent = received.header("traceparent").unwrap_or_default();
    // One without a parent is a trace of its own.
    parent.split('-').nth(1).map_or_else(|| format!("#{}", received.number()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_tells_retries_and_repeated_posts() {
        let drill = Drill::start().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let send = async |method: Method, path: &str, headers: &[(&str, &str)]| {
            let mut request = client.request(method, drill.url(path));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.send().await.unwrap();
        };
        let trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        send(Method::GET, "/ok", &[]).await;
        send(Method::GET, "/ok", &[]).await;
        send(Method::GET, "/ok", &[trace]).await;
        send(Method::POST, "/ok?n=1", &[trace, ("idempotency-key", "a")]).await;
        send(Method::POST, "/ok?n=1", &[trace, ("idempotency-key", "a")]).await;
        send(Method::POST, "/ok?n=2", &[]).await;
        send(Method::POST, "/ok?n=2", &[]).await;
        let audit = Audit::of(&drill);
        assert_eq!((audit.requests, audit.retries()), (7, Some(2)));
        assert_eq!(
            audit.log,
            LogAudit { requests: 7, retries: 2, attempts_most: 3, unsafe_most: 2, keys_changed: 1 }
        );
    }
}
