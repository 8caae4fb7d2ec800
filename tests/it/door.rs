//! Requests as messages, from every kind of runtime.

use std::time::Duration;

use actix::Addr;
use spillgate::actors::coordinator::Coordinator;
use spillgate::actors::fetch::Fetch;
use spillgate::actors::messages::{Cancel, Drain, ForceOpen, Inspect, Reload, Reset};
use spillgate::{BreakerState, Client, Drained, ErrorKind, Priority, Response};

use crate::bench::{PATIENCE, at_rest, drill, eventually, hits, scope_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_is_answered_on_a_multi_thread_runtime() {
    fetches().await;
}

#[tokio::test]
async fn fetch_is_answered_on_a_current_thread_runtime() {
    fetches().await;
}

#[actix::test]
async fn fetch_is_answered_inside_an_actix_system() {
    fetches().await;
}

#[test]
fn fetch_is_answered_without_any_runtime() {
    futures_executor(fetches_only());
}

#[actix::test]
async fn fetch_is_answered_inside_an_actix_web_handler() {
    use actix_web::{App, HttpResponse, test, web};
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/ok?bytes=7");
    let handler = move |addr: web::Data<Addr<Coordinator>>| {
        let url = url.clone();
        async move {
            let response = addr.send(Fetch::get(url)).await.unwrap().unwrap();
            HttpResponse::Ok().body(response.bytes().clone())
        }
    };
    let app = App::new().app_data(web::Data::new(client.addr())).route("/", web::get().to(handler));
    let app = test::init_service(app).await;
    let request = test::TestRequest::get().uri("/").to_request();
    assert_eq!(test::call_and_read_body(&app, request).await.len(), 7);
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn dropping_the_send_cancels_the_call() {
    let (drill, client) = (drill(), Client::standard());
    let addr = client.addr();
    let send = tokio::spawn(addr.send(Fetch::get(drill.url("/delay/60000"))));
    hits(&drill, 1).await;
    send.abort();
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
}

#[tokio::test]
async fn message_that_wants_no_answer_is_sent_all_the_same() {
    let (drill, client) = (drill(), Client::standard());
    client.addr().do_send(Fetch::get(drill.url("/delay/100")));
    drill.wait_for(|ledger| ledger.hits() == 1 && ledger.in_flight() == 0, PATIENCE).await.unwrap();
    at_rest(&client).await;
    assert_eq!(drill.aborted("/delay/100"), 0);
}

#[tokio::test]
async fn cancel_names_a_call_by_its_ticket() {
    let (drill, client) = (drill(), Client::standard());
    let fetch = Fetch::get(drill.url("/delay/60000"));
    let ticket = fetch.ticket();
    let send = tokio::spawn(client.addr().send(fetch));
    hits(&drill, 1).await;
    for kind in [ErrorKind::Cancelled, ErrorKind::Superseded] {
        client.addr().send(Cancel { ticket, kind }).await.unwrap();
    }
    let error = send.await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "the first counts");
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    let call = client.get(drill.url("/delay/60000?key=b"));
    let ticket = call.ticket();
    let call = tokio::spawn(call.send());
    hits(&drill, 2).await;
    client.cancel(ticket);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.report().unwrap().attempts), (ErrorKind::Cancelled, 1));
    at_rest(&client).await;
}

#[tokio::test]
async fn operators_speak_in_messages_too() {
    let (drill, client) = (drill(), Client::standard());
    let (addr, scope) = (client.addr(), scope_of(&drill));
    addr.send(Fetch::get(drill.url("/ok")).priority(Priority::Critical)).await.unwrap().unwrap();
    addr.send(ForceOpen { scope: scope.as_str().into(), duration: None }).await.unwrap();
    let open = |state: BreakerState| client.breakers().state(&scope) == state;
    eventually("it is open", || open(BreakerState::Open)).await;
    let error = addr.send(Fetch::get(drill.url("/ok"))).await.unwrap().unwrap_err();
    assert!(error.is_circuit_open());
    let state = addr.send(Inspect).await.unwrap();
    assert_eq!(state.hosts[0].breaker, BreakerState::Open);
    assert_eq!((&*state.breakers[0].scope, state.hosts.len()), (&*scope, 1));
    addr.send(Reset { scope: scope.as_str().into() }).await.unwrap();
    eventually("it is closed", || open(BreakerState::Closed)).await;
    addr.send(Fetch::get(drill.url("/ok"))).await.unwrap().unwrap();
    assert_eq!(drill.hits(), 2);
    let held = tokio::spawn(addr.send(Fetch::get(drill.url("/delay/60000"))));
    hits(&drill, 3).await;
    let drained = addr.send(Drain { grace: Duration::from_millis(50) }).await.unwrap();
    assert_eq!(drained, Drained::Cut);
    assert_eq!(held.await.unwrap().unwrap().unwrap_err().kind(), ErrorKind::ShuttingDown);
    let after = addr.send(Fetch::get(drill.url("/ok"))).await.unwrap().unwrap_err();
    assert_eq!(after.kind(), ErrorKind::ShuttingDown);
    let _: Option<Reload> = None;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_messages_at_once_are_each_answered_once() {
    let (drill, client) = (drill(), Client::standard());
    let sends: Vec<_> = (0..500)
        .map(|n| tokio::spawn(client.addr().send(Fetch::get(drill.url(&format!("/ok?key={n}"))))))
        .collect();
    for send in sends {
        assert_eq!(send.await.unwrap().unwrap().unwrap().status(), 200);
    }
    assert_eq!(drill.hits(), 500);
    assert!(drill.peak() <= 6);
    assert_eq!(client.snapshot().answers, 500);
}

async fn fetches() {
    fetches_only().await;
    let (drill, client) = (drill(), Client::standard());
    let response: Response = client.get(drill.url("/ok")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    client.shutdown(PATIENCE).await;
}

async fn fetches_only() {
    let (drill, client) = (drill(), Client::standard());
    let fetch = Fetch::post(drill.url("/echo")).body("hello").priority(Priority::Foreground);
    let response = client.addr().send(fetch).await.unwrap().unwrap();
    assert!(response.text().unwrap().contains("hello"));
    let error = client.addr().send(Fetch::get("nonsense")).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(drill.hits(), 1);
}

/// Runs a future on this bare thread.
fn futures_executor<F: Future>(work: F) -> F::Output {
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut work = std::pin::pin!(work);
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
