//! Tunnels: connections that carry what this proxy does not read, for `CONNECT` and for an `Upgrade`
//! that the upstream takes up.
//!
//! Making one is a call like any other: it waits for a slot of the host, asks its breaker, and counts
//! for it. A tunnel that stands is no request any more, and may stand for hours: it gives the slot
//! back, and takes one of the places that the listener has for tunnels to that host. Nothing that
//! the client says goes on before the tunnel stands.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, HeaderMap, HeaderValue, TE, UPGRADE};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use spillgate_actors::core::cache::status::{CacheStatus, Why};
use spillgate_actors::fetch::Fetch;
use spillgate_actors::transport::{Handover, Tunnel};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::ask::Ask;
use crate::client::Client;
use crate::config::serving::TunnelLimits;
use crate::sidecar::body::OutBody;
use crate::sidecar::carrying::carry;
use crate::sidecar::hygiene::Flaw;
use crate::sidecar::manner::Manner;
use crate::sidecar::opaque::Opaque;
use crate::sidecar::places::{Place, Places};
use crate::sidecar::presence::Presence;
use crate::sidecar::response::{end_behind, of_own};
use crate::sidecar::share::Own;
use crate::sidecar::tally::Tallies;
use crate::sidecar::{hygiene, refusal};

/// A request that would turn its connection into a tunnel.
pub(super) struct Passage {
    /// The client's end, once the answer has gone out.
    near: OnUpgrade,
    /// What is to be spoken; `CONNECT` does not say.
    protocol: Option<HeaderValue>,
    /// The connection that carries no more HTTP then.
    connection: Option<Opaque>,
}

impl Passage {
    /// What a request asks for, of what can be passed on: `CONNECT`, or one other protocol.
    ///
    /// `h2c` and its like are never passed on: what follows would be requests that nobody here sees.
    pub(super) fn wished(parts: &mut Parts, body: &impl Body) -> Option<Self> {
        let connects = parts.method == Method::CONNECT;
        let protocol = protocol(parts).filter(|_| !connects && body.is_end_stream());
        if !connects && protocol.is_none() {
            return None;
        }
        let near = parts.extensions.remove::<OnUpgrade>()?;
        // Over HTTP/2 a stream becomes the tunnel, and not the connection.
        let whole = parts.version < Version::HTTP_2;
        let connection = parts.extensions.remove().filter(|_| whole);
        Some(Self { near, protocol, connection })
    }

    /// What is to be spoken, if that is said.
    pub(super) fn protocol(&self) -> Option<HeaderValue> {
        self.protocol.clone()
    }
}

/// The tunnels that one connection became, or that its streams became.
#[derive(Clone)]
pub(super) struct Standing {
    presence: Presence,
    tracker: TaskTracker,
    cut: CancellationToken,
}

impl Standing {
    /// None yet; each counts as a request that is being answered, until `cut` ends it.
    pub(super) fn new(presence: Presence, cut: CancellationToken) -> Self {
        Self { presence, tracker: TaskTracker::new(), cut }
    }

    /// Waits for all of them to end.
    pub(super) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn spawn(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        let (present, cut) = (self.presence.enter(), self.cut.clone());
        self.tracker.spawn(async move {
            let _ = cut.run_until_cancelled(tunnel).await;
            drop(present);
        });
    }
}

/// The tunnels of a proxy.
pub(super) struct Tunnels {
    client: Client,
    tallies: Arc<Tallies>,
    places: Places,
}

impl Tunnels {
    pub(super) fn new(client: Client, tallies: Arc<Tallies>) -> Self {
        Self { client, tallies, places: Places::default() }
    }

    /// Asks for a tunnel, and lets it carry what there is to say once the answer is out.
    pub(super) async fn open(
        &self,
        ask: Ask,
        passage: Passage,
        manner: &Manner,
        (limits, standing): (TunnelLimits, &Standing),
    ) -> Response<OutBody> {
        let Passage { near, protocol, connection } = passage;
        let (place, far, answer) = match self.reach(ask, protocol, manner, limits.per_host).await {
            Ok(reached) => reached,
            Err(mut answer) => {
                // What a client may have sent for the other protocol is no request.
                end_behind(&mut answer);
                return answer;
            }
        };
        if connection.is_some_and(|connection| !connection.set()) {
            // What came too early was read as a request, and cut off where it could be none.
            return refusal::of_flaw(Flaw::Early);
        }
        let tallies = self.tallies.clone();
        standing.spawn(async move {
            let Ok(near) = near.await else { return };
            let present = tallies.tunnels();
            carry(TokioIo::new(near), far, limits.idle).await;
            drop((place, present));
        });
        answer
    }

    /// Makes a tunnel, or brings the answer that came instead.
    async fn reach(
        &self,
        mut ask: Ask,
        protocol: Option<HeaderValue>,
        manner: &Manner,
        most: u32,
    ) -> Result<(Place, Tunnel, Response<OutBody>), Response<OutBody>> {
        let place = self.places.take(&ask.url.origin().ascii_serialization(), most);
        let place = place.ok_or_else(refusal::too_many_tunnels)?;
        self.tallies.forwarded.fetch_add(1, Relaxed);
        match protocol {
            None => ask.headers = HeaderMap::new(),
            Some(protocol) => {
                // It would be named beside the protocol, and nothing comes behind a 101.
                ask.headers.remove(TE);
                switching(&mut ask.headers, protocol);
            }
        }
        let (handover, mut far) = handover();
        let fetch = Fetch::request(ask.method, ask.url.as_str()).headers(ask.headers);
        let fetch = manner.apply(fetch).no_coalesce().on_tunnel(handover);
        let answer = self.client.stream(fetch).await;
        let answer = answer.map_err(|error| refusal::of_error(&error))?;
        let Ok(far) = far.try_recv() else {
            let (cache_status, behind) = (CacheStatus::forwarded(Why::Bypass), manner.behind());
            return Err(of_own(Own { response: answer, cache_status, behind }));
        };
        let mut response = Response::new(OutBody::Whole(bytes::Bytes::new()));
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        hygiene::strip(response.headers_mut());
        Ok((place, far, response))
    }
}

/// Says again what concerns one hop alone, where the answer ends that hop's protocol.
pub(super) fn keep_switch(response: &mut Response<OutBody>, protocol: Option<HeaderValue>) {
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(protocol)) = (response.status(), protocol) {
        switching(response.headers_mut(), protocol);
    }
}

fn switching(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// The one other protocol that a request asks for (RFC 9110 section 7.8).
fn protocol(parts: &Parts) -> Option<HeaderValue> {
    if parts.version != Version::HTTP_11 || parts.method != Method::GET {
        return None;
    }
    let connection = parts.headers.get_all(CONNECTION).into_iter();
    let mut named = connection.filter_map(|line| line.to_str().ok()).flat_map(|l| l.split(','));
    if !named.any(|name| name.trim().eq_ignore_ascii_case(UPGRADE.as_str())) {
        return None;
    }
    let mut lines = parts.headers.get_all(UPGRADE).into_iter();
    let (Some(only), None) = (lines.next(), lines.next()) else { return None };
    let name = only.to_str().ok()?.trim();
    let family = name.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_ours = OURS.contains(&&*family);
    let is_one = !name.is_empty() && name.bytes().all(is_of_protocol);
    (is_one && !is_ours).then(|| HeaderValue::from_str(name).ok()).flatten()
}

fn is_of_protocol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/.-_+".contains(&byte)
}

/// Where a transport leaves the upstream's end, and where it is found.
fn handover() -> (Handover, oneshot::Receiver<Tunnel>) {
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let handover: Handover = Arc::new(move |tunnel| {
        let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whoever asked may have gone: then the tunnel is closed right here.
            let _ = sender.send(tunnel);
        }
    });
    (handover, receiver)
}

/// Protocols whose requests are this proxy's to read.
const OURS: [&str; 4] = ["h2c", "h2", "h3", "http"];

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn one_foreign_protocol_is_passed_on_and_none_of_our_own() {
        let check = |connection: &str, upgrade: &[&str], expected: Option<&str>| {
            let mut request = Request::builder().header(CONNECTION, connection);
            for line in upgrade {
                request = request.header(UPGRADE, *line);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let found = protocol(&parts);
            let found = found.as_ref().map(|name| name.to_str().unwrap());
            assert_eq!(found, expected, "{connection} {upgrade:?}");
        };
        check("Upgrade", &["websocket"], Some("websocket"));
        check("keep-alive, UPGRADE", &["WebSocket"], Some("WebSocket"));
        check("upgrade", &["TLS/1.3"], Some("TLS/1.3"));
        for ours in ["h2c", "H2C", "h2", "HTTP/2.0", "http/1.1", "h3"] {
            check("upgrade", &[ours], None);
        }
        check("upgrade", &["websocket, h2c"], None);
        check("upgrade", &["websocket", "h2c"], None);
        check("upgrade", &[""], None);
        check("upgrade", &[], None);
        check("close", &["websocket"], None);
    }
}
