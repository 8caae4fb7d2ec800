//! Lets one attempt connect to an https origin until it is known which protocol is spoken there.
//!
//! A cold burst to an HTTP/2 upstream otherwise opens a connection for each request (12 where 1
//! does), because the pool learns of HTTP/2 only from the handshake. An HTTP/1.1 upstream pays with
//! one handshake's time in its first burst.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

use super::current::REQUESTER;

/// What is known of the protocols of origins.
#[derive(Debug, Default)]
pub(super) struct ProtocolGate {
    origins: Mutex<HashMap<u64, Knowledge>>,
}

#[derive(Debug, Clone)]
enum Knowledge {
    Known(Protocol),
    Probing(watch::Receiver<Probe>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    UnderWay,
    Found(Protocol),
    Failed,
}

/// The right to connect.
#[derive(Debug)]
pub(super) struct Pass {
    probe: Option<(Arc<ProtocolGate>, u64, watch::Sender<Probe>)>,
}

impl ProtocolGate {
    /// Waits until a connection to the origin is wanted and allowed.
    pub(super) async fn enter(self: &Arc<Self>, origin: u64) -> Result<Pass, NotNeeded> {
        loop {
            let mut probed = match self.look(origin) {
                Ok(pass) => return Ok(pass),
                Err(probed) => probed,
            };
            let found = probed.wait_for(|probe| *probe != Probe::UnderWay);
            let found = while_wanted(found).await?.map_or(Probe::Failed, |probe| *probe);
            if found != Probe::Found(Protocol::Http2) {
                return Ok(Pass { probe: None });
            }
            // The pool is about to share the connection, and then asks for this one no more.
            let never = std::future::pending::<()>();
            let _ = while_wanted(tokio::time::timeout(SHARING_TIME, never)).await?;
        }
    }

    fn look(self: &Arc<Self>, origin: u64) -> Result<Pass, watch::Receiver<Probe>> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        match origins.get(&origin) {
            Some(Knowledge::Known(Protocol::Http1)) => return Ok(Pass { probe: None }),
            Some(Knowledge::Probing(probed)) => return Err(probed.clone()),
            // A new connection where one serves all: the old one has gone, for all of them.
            Some(Knowledge::Known(Protocol::Http2)) | None => {}
        }
        if origins.len() >= ORIGINS_MAX {
            // Knowledge comes back with the next handshake.
            origins.clear();
        }
        let (sender, probed) = watch::channel(Probe::UnderWay);
        origins.insert(origin, Knowledge::Probing(probed));
        Ok(Pass { probe: Some((Arc::clone(self), origin, sender)) })
    }
}

impl Pass {
    /// Tells those who wait what was found.
    pub(super) fn found(mut self, protocol: Protocol) {
        self.end(Probe::Found(protocol));
    }

    fn end(&mut self, probe: Probe) {
        let Some((gate, origin, sender)) = self.probe.take() else {
            return;
        };
        let mut origins = gate.origins.lock().unwrap_or_else(PoisonError::into_inner);
        match probe {
            Probe::Found(protocol) => {
                origins.insert(origin, Knowledge::Known(protocol));
            }
            Probe::UnderWay | Probe::Failed => {
                origins.remove(&origin);
            }
        }
        sender.send_replace(probe);
    }
}

impl Drop for Pass {
    /// A connect that failed or was given up says nothing: those who wait try for themselves.
    fn drop(&mut self) {
        self.end(Probe::Failed);
    }
}

/// Runs a future as long as the attempt that asked for the connection polls it: once another
/// connection serves that attempt, the pool's own task does.
async fn while_wanted<F: Future>(future: F) -> Result<F::Output, NotNeeded> {
    let mut future = pin!(future);
    poll_fn(move |cx| {
        if REQUESTER.try_with(|_| ()).is_err() {
            return Poll::Ready(Err(NotNeeded));
        }
        future.as_mut().poll(cx).map(Ok)
    })
    .await
}

/// Nobody waits for the connection any more.
#[derive(Debug)]
pub(super) struct NotNeeded;

impl fmt::Display for NotNeeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another connection serves the request")
    }
}

impl StdError for NotNeeded {}

/// Origins whose protocol is remembered.
const ORIGINS_MAX: usize = 1024;

/// From a finished handshake until the pool shares the connection: a few polls, unless it broke.
const SHARING_TIME: Duration = Duration::from_millis(250);
