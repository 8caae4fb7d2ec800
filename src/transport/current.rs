//! Whose work is being done: reqwest offers no way to hand an attempt through to its connector, but
//! its connector runs inside the requester's task until the pool moves it away.

use std::sync::Arc;
use std::time::Duration;

use spillgate_actors::phases::{Mark, PhaseMarks};

tokio::task_local! {
    /// The attempt whose request is being polled.
    pub(super) static REQUESTER: Requester;
    /// The marks of the attempt that caused the connect being polled, wherever it is polled.
    pub(super) static CONNECTING: Arc<PhaseMarks>;
}

/// What a connector needs to know of the attempt that asks for a connection.
#[derive(Clone)]
pub(super) struct Requester {
    /// The attempt's number, unique within its transport.
    pub(super) number: u64,
    /// Where its phases are noted.
    pub(super) marks: Arc<PhaseMarks>,
    /// How long its connect may take.
    pub(super) connect_timeout: Duration,
    /// Names the origin where the handshake decides on the protocol.
    pub(super) negotiates_with: Option<u64>,
}

/// Notes a mark for the attempt that caused the connect being polled, if one is.
pub(super) fn note_connecting(mark: Mark) {
    // Outside a connect (a ticket that comes with the answer) there is nothing to note.
    let _ = CONNECTING.try_with(|marks| marks.note(mark));
}
