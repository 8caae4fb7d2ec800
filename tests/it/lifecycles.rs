//! What ends calls besides their answers.

use std::time::Duration;

use futures_util::future::join_all;
use spillgate::testing::Drill;
use spillgate::{CancellationToken, Client, ErrorClass, ErrorKind, Latest};

#[tokio::test]
async fn dropping_a_scope_cancels_what_was_started_in_it_and_nothing_else() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let scope = client.scope();
    let inside: Vec<_> = (0..3)
        .map(|n| tokio::spawn(scope.get(drill.url(&format!("/delay/60000?key={n}"))).send()))
        .collect();
    let outside = tokio::spawn(client.get(drill.url("/delay/200")).send());
    drill.wait_for(|ledger| ledger.hits() == 4, PATIENCE).await.unwrap();
    drop(scope);
    for call in inside {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::Cancelled, ErrorClass::Cancelled));
    }
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 3, PATIENCE).await.unwrap();
    assert_eq!(outside.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn any_of_several_tokens_cancels_a_call() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let scope = client.scope();
    let token = CancellationToken::new();
    let call = tokio::spawn(scope.get(drill.url("/delay/60000")).cancel_on(&token).send());
    drill.wait_for(|ledger| ledger.hits() == 1, PATIENCE).await.unwrap();
    token.cancel();
    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(!scope.token().is_cancelled());
}

#[tokio::test]
async fn only_the_newest_of_a_debounced_key_is_sent() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let search = client.debounced("search", Duration::from_millis(100));
    let typed = (0..20).map(|n| search.get(drill.url(&format!("/ok?q={n}"))).send());
    let answers = join_all(typed.map(tokio::spawn)).await;
    let mut kinds = answers.into_iter().map(|answer| answer.unwrap().map_err(|e| e.kind()));
    assert!(kinds.by_ref().take(19).all(|kind| kind.err() == Some(ErrorKind::Superseded)));
    assert_eq!(kinds.next().unwrap().unwrap().status(), 200);
    assert_eq!(drill.hits(), 1, "nothing was sent for the superseded");
}

#[tokio::test]
async fn debounced_keys_do_not_touch_each_other() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let wait = Duration::from_millis(20);
    let (left, right) = (client.debounced("left", wait), client.debounced("right", wait));
    let (a, b) =
        tokio::join!(left.get(drill.url("/ok?a")).send(), right.get(drill.url("/ok?b")).send());
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(drill.hits(), 2);
}

#[tokio::test]
async fn newer_turn_of_another_handle_supersedes_a_call_in_flight() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let wait = Duration::from_millis(1);
    let slow = client.debounced("search", wait).get(drill.url("/delay/60000"));
    let older = tokio::spawn(slow.send());
    drill.wait_for(|ledger| ledger.hits() == 1, PATIENCE).await.unwrap();
    let newer = client.debounced("search", wait).get(drill.url("/ok")).send().await;
    assert_eq!(newer.unwrap().status(), 200);
    assert_eq!(older.await.unwrap().unwrap_err().kind(), ErrorKind::Superseded);
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
}

#[test]
fn only_one_of_many_racing_publishers_is_the_newest() {
    let latest = Latest::new();
    let guards: Vec<_> = (0..64).map(|n| (n, latest.begin())).collect();
    let published: Vec<bool> = std::thread::scope(|threads| {
        let racing: Vec<_> =
            guards.into_iter().map(|(n, guard)| threads.spawn(move || guard.publish(n))).collect();
        racing.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(published.iter().filter(|done| **done).count(), 1);
    assert_eq!((latest.get(), latest.discarded()), (Some(63), 63));
}

const PATIENCE: Duration = Duration::from_secs(10);
