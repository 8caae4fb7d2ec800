//! The main path: one request, one answer.

use std::time::Duration;

use spillgate::testing::Drill;
use spillgate::{Client, ErrorKind};

#[tokio::test]
async fn answers_a_get_and_reports_it() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let response = client.get(drill.url("/ok")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.report().attempts, 1);
    assert_eq!(drill.hits(), 1);
    drop(response);
    client.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn deadline_ends_a_slow_call() {
    let drill = Drill::start().unwrap();
    let client = Client::standard();
    let call = client.get(drill.url("/delay/5000")).deadline(Duration::from_millis(500));
    let error = call.send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    drill
        .wait_for(|state| state.aborted("/delay/5000") == 1, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(drill.hits(), 1);
    println!("{error} {:?}", error.report());
}
