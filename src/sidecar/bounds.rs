//! How long a client may keep a connection waiting.

use std::num::NonZeroU32;
use std::time::Duration;

use spillgate_actors::core::wire::patience::Terms;

/// What a listener bears from its clients. Each bound frees what one of them would hold for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long nothing may be asked on an open connection.
    pub idle: Duration,
    /// How long a head may take from its first byte; over TLS, the handshake as well.
    pub head: Duration,
    /// How slowly a request's body may come.
    pub body: Terms,
    /// How slowly an answer may be read.
    pub reading: Terms,
}

impl Default for Bounds {
    fn default() -> Self {
        let terms = |grace| Terms { grace, bytes_a_second: RATE_MIN };
        Self { idle: IDLE, head: HEAD, body: terms(BODY_GRACE), reading: terms(READING_GRACE) }
    }
}

const IDLE: Duration = Duration::from_secs(75);
const HEAD: Duration = Duration::from_secs(30);
const BODY_GRACE: Duration = Duration::from_secs(10);
const READING_GRACE: Duration = Duration::from_secs(30);
/// 240: one, and the rest.
const RATE_MIN: NonZeroU32 = NonZeroU32::MIN.saturating_add(239);
