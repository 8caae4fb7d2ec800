//! Counts what goes on the wire, at the seam between the actors and reqwest.
//!
//! Neither the actors' own numbers nor the upstreams' enter here, so that the three can be compared.
//! A request counts as written once a connection has picked it up. That is settled when its exchange
//! is dropped: what no connection has picked up by then is never written, and what one has picked up
//! was handed to the socket in the same turn.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use spillgate_actors::phases::{Mark, PhaseMarks};
use spillgate_actors::transport::{ExchangeFuture, Outbound, Transport};

/// A transport that is counted.
pub(super) struct Meter<T> {
    inner: T,
    wire: Arc<Wire>,
}

/// What went over a metered transport.
#[derive(Debug, Default)]
pub(super) struct Wire {
    begun: AtomicU64,
    written: AtomicU64,
}

/// One exchange; counted when it goes.
struct Watch {
    marks: Arc<PhaseMarks>,
    wire: Arc<Wire>,
}

impl<T> Meter<T> {
    /// Counts what goes over `inner`.
    pub(super) fn new(inner: T) -> (Self, Arc<Wire>) {
        let wire = Arc::new(Wire::default());
        (Self { inner, wire: wire.clone() }, wire)
    }
}

impl<T: Transport> Transport for Meter<T> {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        self.wire.begun.fetch_add(1, Relaxed);
        let watch = Watch { marks: outbound.marks.clone(), wire: self.wire.clone() };
        let exchange = self.inner.exchange(outbound);
        Box::pin(async move {
            // Declared first, so that it goes last: after the exchange nothing can be written.
            let _watch = watch;
            exchange.await
        })
    }
}

impl Wire {
    /// Exchanges that began.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// Ended exchanges whose request was written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.marks.at(Mark::WriteBegin).is_some() {
            self.wire.written.fetch_add(1, Relaxed);
        }
    }
}
