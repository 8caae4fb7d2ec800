//! A client works wherever its caller's futures are polled.

use std::time::Duration;

use spillgate::Client;
use spillgate::actors::fetch::Fetch;
use spillgate::testing::Drill;
use tokio::runtime::Builder;

#[test]
fn calls_from_a_multi_thread_runtime() {
    Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(assert_calls());
}

#[test]
fn calls_from_a_current_thread_runtime_without_drivers() {
    // No timer and no sockets of the caller's are needed: the client brings its own.
    Builder::new_current_thread().build().unwrap().block_on(assert_calls());
}

#[test]
fn calls_from_an_actix_system() {
    actix::System::new().block_on(assert_calls());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_from_spawned_tasks() {
    let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(assert_calls())).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Starts a client, calls by facade and by message, and ends it, all inside the runtime.
async fn assert_calls() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let retried = client.get(drill.url("/status/503?times=1")).send().await.unwrap();
    assert_eq!((retried.status().as_u16(), retried.report().attempts), (200, 2));
    let answer = client.addr().send(Fetch::get(drill.url("/ok"))).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let mut stream = client.get(drill.url("/ok?bytes=10")).send_streaming().await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap().len(), 10);
    assert!(stream.chunk().await.is_none());
    client.shutdown(Duration::from_secs(5)).await;
    assert_eq!(drill.hits(), 4);
}
