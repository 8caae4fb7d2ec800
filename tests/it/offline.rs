//! A machine without a network: nobody's failure, one probe, and everybody goes when it is back.
//!
//! The network is switched off at the seam: a real resolver cannot be, and what the real transport
//! tells of one is tested beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use spillgate::actors::phases::Phase;
use spillgate::actors::transport::{ExchangeFuture, Outbound, Transport, TransportError};
use spillgate::testing::Drill;
use spillgate::{BreakerState, Client, ErrorClass, ErrorKind, ReqwestTransport, TransportOptions};

use crate::bench::{Call, answer, at_rest, client, eventually, spawn};

/// envoy-mobile#811 (PITFALLS A23).
#[tokio::test]
async fn offline_machine_trips_no_breaker_spends_no_budget_and_sends_one_probe() {
    let drill = Drill::builder().hosts(HOSTS).start().unwrap();
    let network = Network::without();
    let client = client(|builder| builder.transport(network.clone()));
    for call in everywhere(&client, &drill) {
        let error = answer(call).await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::DeviceOffline, ErrorClass::Device));
    }
    at_rest(&client).await;
    // Each slot finds it out once; after that one at a time probes, ever more rarely.
    let tried = network.tried.load(SeqCst);
    assert!(tried <= 24 + PROBES_MAX, "{tried} tries");
    let state = client.snapshot();
    assert_eq!((state.hosts.len(), drill.connections()), (HOSTS, 0));
    for host in &state.hosts {
        assert_eq!((host.breaker, host.failures), (BreakerState::Closed, 0), "{}", host.host);
        assert!((host.tokens - 10.0).abs() < 1e-9, "{} tokens", host.tokens);
    }
    network.is_up.store(true, SeqCst);
    while client.get(drill.url("/ok")).send().await.is_err() {}
    for call in everywhere(&client, &drill) {
        assert_eq!(answer(call).await.unwrap().status(), 200, "one answer lights all hosts");
    }
}

/// envoy-mobile#811 (PITFALLS A23): while that probe hangs.
#[tokio::test]
async fn nobody_follows_the_probe_of_an_offline_machine_before_it_has_ended() {
    let drill = Drill::builder().hosts(HOSTS).start().unwrap();
    let network = Network::without();
    let client = client(|builder| builder.transport(network.clone()));
    let mut calls = everywhere(&client, &drill);
    // What was on its way to a host when the first came back is tried, too: all the rest wait.
    let mut last = (0, 0);
    eventually("every host is known to be out of reach, and all wait", || {
        let (state, tried) = (client.snapshot(), network.tried.load(SeqCst));
        last = (tried, if tried == last.0 { last.1 + 1 } else { 0 });
        let known = state.hosts.iter().filter(|host| host.attempts > 0).count();
        known == HOSTS && state.running == 0 && last.1 > 10
    })
    .await;
    network.hangs.store(true, SeqCst);
    eventually("one of those who wait or come probes", || {
        calls.push(spawn(client.get(drill.url(&format!("/ok?key=late{}", calls.len())))));
        network.hanging.load(SeqCst) > 0
    })
    .await;
    eventually("the others are told", || {
        calls.iter().filter(|call| call.is_finished()).count() == calls.len() - 1
    })
    .await;
    assert_eq!((network.hanging.load(SeqCst), client.snapshot().running), (1, 1));
    calls.iter().for_each(Call::abort);
    at_rest(&client).await;
}

/// Twenty calls to each host.
fn everywhere(client: &Client, drill: &Drill) -> Vec<Call> {
    let url = |n: usize| drill.url_on(n % HOSTS, &format!("/ok?key={n}"));
    (0..20 * HOSTS).map(|n| spawn(client.get(url(n)))).collect()
}

/// Reqwest's transport behind a switch.
pub(crate) struct Network {
    beyond: ReqwestTransport,
    pub(crate) is_up: AtomicBool,
    hangs: AtomicBool,
    tried: AtomicUsize,
    hanging: AtomicUsize,
}

impl Network {
    pub(crate) fn without() -> Arc<Self> {
        Arc::new(Self {
            beyond: ReqwestTransport::new(&TransportOptions::default()).unwrap(),
            is_up: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            tried: AtomicUsize::new(0),
            hanging: AtomicUsize::new(0),
        })
    }
}

impl Transport for Network {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        if self.is_up.load(SeqCst) {
            return self.beyond.exchange(outbound);
        }
        self.tried.fetch_add(1, SeqCst);
        if self.hangs.load(SeqCst) {
            self.hanging.fetch_add(1, SeqCst);
            return Box::pin(std::future::pending());
        }
        let offline = TransportError::never_sent(ErrorKind::DeviceOffline);
        Box::pin(std::future::ready(Err(offline.during(Phase::Dns))))
    }
}

const HOSTS: usize = 5;
/// More than can follow each other in the time that a call waits: their pauses double.
const PROBES_MAX: usize = 10;
