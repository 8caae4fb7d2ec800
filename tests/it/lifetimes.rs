//! How clients live and end: threads, draining, reloading.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use spillgate::actors::transport::{ExchangeFuture, Outbound, Transport, TransportError};
use spillgate::{BreakerState, Client, Config, Drained, ErrorClass, ErrorKind};
use tokio::sync::oneshot;

use crate::alone;
use crate::bench::{
    answer, at_rest, client, drill, error, eventually, fail, five, guarded, hits, scope_of, spawn,
};

#[test]
fn dropping_clients_ends_their_threads() {
    alone::run("lifetimes::dropping_clients_ends_their_threads", async || {
        let drill = drill();
        assert_eq!(alone::threads(), [""; 0]);
        let clients: Vec<_> = (0..20).map(|_| Client::standard()).collect();
        assert_eq!(alone::threads().iter().filter(|name| *name == "spillgate").count(), 20);
        for client in &clients {
            assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
        }
        let kept = clients[7].clone();
        drop(clients);
        eventually("one is left", || alone::threads().len() == 2).await;
        assert_eq!(kept.get(drill.url("/ok")).send().await.unwrap().status(), 200);
        let handle = kept.breakers().get_or_create("a", five(Duration::from_secs(1)));
        drop(kept);
        drop(handle);
        eventually("none of twenty is left", || alone::threads().is_empty()).await;
        let busy = Client::standard();
        let call = spawn(busy.get(drill.url("/delay/60000")));
        hits(&drill, 22).await;
        assert_eq!(busy.shutdown(Duration::ZERO).await, Drained::Cut);
        assert_eq!(error(call).await.kind(), ErrorKind::ShuttingDown);
        drop(busy);
        eventually("the busy one is gone", || alone::threads().is_empty()).await;
        (0..80).for_each(|_| drop(Client::standard()));
        eventually("none of eighty is left", || alone::threads().is_empty()).await;
    });
}

#[tokio::test]
async fn draining_refuses_the_new_and_lets_the_rest_end() {
    let (drill, client) = (drill(), Client::standard());
    let running = spawn(client.get(drill.url("/delay/600")));
    hits(&drill, 1).await;
    let ending = tokio::spawn({
        let client = client.clone();
        async move { client.shutdown(Duration::from_secs(20)).await }
    });
    let mut refused = None;
    while refused.is_none() {
        let call = client.get(drill.url("/ok")).send().await;
        refused = call.err();
    }
    let error = refused.unwrap();
    assert_eq!((error.kind(), error.class()), (ErrorKind::ShuttingDown, ErrorClass::Rejected));
    assert!(!running.is_finished());
    assert_eq!(answer(running).await.unwrap().status(), 200);
    assert_eq!(ending.await.unwrap(), Drained::Whole);
    let after = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert_eq!(after.kind(), ErrorKind::ShuttingDown);
    assert_eq!(client.shutdown(Duration::ZERO).await, Drained::Cut);
    assert!(drill.read(spillgate::testing::ledger::Ledger::aborted_in_all) == 0);
}

#[tokio::test]
async fn grace_that_ends_cuts_the_rest() {
    let (drill, client) = (drill(), Client::standard());
    let running = spawn(client.get(drill.url("/delay/60000")));
    hits(&drill, 1).await;
    let began = Instant::now();
    assert_eq!(client.shutdown(Duration::from_millis(100)).await, Drained::Cut);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(error(running).await.kind(), ErrorKind::ShuttingDown);
    let gone = drill.wait_for(|ledger| ledger.aborted_in_all() == 1, crate::bench::PATIENCE);
    gone.await.unwrap();
}

#[tokio::test]
async fn two_who_shut_down_both_wait() {
    let (drill, client) = (drill(), Client::standard());
    let running = spawn(client.get(drill.url("/delay/500")));
    hits(&drill, 1).await;
    let grace = Duration::from_secs(20);
    let both = futures_util::future::join(client.shutdown(grace), client.shutdown(grace)).await;
    assert_eq!(both, (Drained::Whole, Drained::Whole));
    assert_eq!(answer(running).await.unwrap().status(), 200);
}

/// R4J#2325 (PITFALLS A20).
#[tokio::test]
async fn reload_keeps_an_open_breaker_open_and_applies_new_numbers() {
    let (drill, client) = (drill(), guarded(Duration::from_secs(50)));
    client.breakers().get_or_create("named", five(Duration::from_secs(50)));
    fail(&client, &drill.url("/status/503"), 5).await;
    let scope = scope_of(&drill);
    let until = client.get(drill.url("/ok")).send().await.unwrap_err().retry_at();
    let text = "[defaults]\nlimits = { per_host = 2, global = 3 }\nretry = { max_attempts = 1 }\n\
                breaker = { kind = \"consecutive\", failure_threshold = 2, reset_timeout = \"1s\" }";
    client.reload(Config::from_toml(text, "new").unwrap()).unwrap();
    eventually("it applies", || client.snapshot().hosts[0].slots_max == 2).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::Open);
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert_eq!((error.is_circuit_open(), error.retry_at()), (true, until));
    client.breakers().reset(&scope);
    let calls: Vec<_> =
        (0..8).map(|n| spawn(client.get(drill.url(&format!("/delay/50?key={n}"))))).collect();
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!(drill.peak(), 2);
    fail(&client, &drill.url("/status/503"), 2).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::Open);
    for _ in 0..2 {
        let call = client.get(drill.url("/status/503")).scope("fresh").no_retry();
        call.send().await.unwrap();
    }
    assert_eq!(client.breakers().state("fresh"), BreakerState::Open, "new scopes know the numbers");
    at_rest(&client).await;
}

#[tokio::test]
async fn reload_reaches_shared_scopes_and_routes() {
    let drill = drill();
    let config = |threshold: u32| {
        let text = format!(
            "[defaults]\nretry = {{ max_attempts = 1 }}\n\
             breaker = {{ kind = \"consecutive\", failure_threshold = {threshold} }}\n\
             [[host]]\nmatch = \"127.0.0.1\"\n[[host.route]]\nmatch = \"GET /status/{{code}}\"\n\
             breaker = {{ failure_threshold = {} }}",
            threshold + 1
        );
        Config::from_toml(&text, "test").unwrap()
    };
    let client = client(|builder| builder.config(config(8)));
    let url = drill.url("/status/503");
    let named = async || client.get(&url).scope("payments").send().await;
    named().await.unwrap();
    client.get(&url).send().await.unwrap();
    client.reload(config(2)).unwrap();
    named().await.unwrap();
    assert!(named().await.unwrap_err().is_circuit_open(), "two of two");
    client.get(&url).send().await.unwrap();
    client.get(&url).send().await.unwrap();
    assert!(client.get(&url).send().await.unwrap_err().is_circuit_open(), "three of three");
}

#[tokio::test]
async fn bad_configuration_is_refused_and_the_old_one_stays() {
    let (drill, client) = (drill(), Client::standard());
    let mut config = Config::default();
    config.defaults.timeouts.attempt = Duration::from_secs(40);
    let error = client.reload(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("40s") && error.to_string().contains("30s"), "{error}");
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn shutdown_waits_for_no_resolver() {
    let (asked, resolving) = oneshot::channel();
    let (release, released) = std::sync::mpsc::channel();
    let transport = Arc::new(Resolving(Mutex::new(Some((asked, released)))));
    let client = client(|builder| builder.transport(transport));
    let call = spawn(client.get("http://a.example/"));
    resolving.await.unwrap();
    let began = Instant::now();
    client.shutdown(Duration::ZERO).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(error(call).await.kind(), ErrorKind::ShuttingDown);
    release.send(()).unwrap();
}

/// Hangs as name resolution does: on a thread that cannot be called back.
struct Resolving(Mutex<Option<(oneshot::Sender<()>, mpsc::Receiver<()>)>>);

impl Transport for Resolving {
    fn exchange(&self, _: Outbound) -> ExchangeFuture {
        let (asked, released) = self.0.lock().unwrap().take().expect("it is asked once");
        Box::pin(async move {
            let resolves = tokio::task::spawn_blocking(move || {
                let _ = asked.send(());
                let _ = released.recv_timeout(crate::bench::PATIENCE);
            });
            let _ = resolves.await;
            Err(TransportError::never_sent(ErrorKind::DnsError))
        })
    }
}
