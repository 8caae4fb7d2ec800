//! What is remembered of failures, beside what is stored.

use std::time::{Duration, Instant};

use spillgate::HostOverrides;
use spillgate::testing::Drill;

use super::get;
use crate::bench::client;

#[tokio::test]
async fn stored_answer_is_better_than_a_remembered_failure_and_nothing_is_asked() {
    let steps = "steps = [{ path = \"/etag?v=1&max_age=0\" }, { path = \"/status/503\" }]";
    let drill = Drill::builder().script(format!("[scenario.x]\n{steps}")).start().unwrap();
    let told = |host: HostOverrides| host.attempts(1).failures(Duration::from_secs(10));
    let client = client(|builder| builder.host("127.0.0.1", told));
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    let began = Instant::now();
    // For longer than the back-off of an address in trouble, which comes first.
    while began.elapsed() < Duration::from_millis(1_500) {
        let stale = get(&client, &url).await;
        assert_eq!((stale.status().as_u16(), stale.report().cache.unwrap().hit), (200, true));
        tokio::task::yield_now().await;
    }
    assert_eq!(drill.hits(), 2, "one failure is asked for, and remembered");
}

#[tokio::test]
async fn remembered_failure_never_stands_before_what_is_stored_but_must_be_asked_about() {
    let steps = "steps = [{ path = \"/etag?v=1&max_age=0\" }, { path = \"/status/503\" }]";
    let drill = Drill::builder().script(format!("[scenario.x]\n{steps}")).start().unwrap();
    let told = |host: HostOverrides| host.attempts(1).failures(Duration::from_secs(10));
    let client = client(|builder| builder.host("127.0.0.1", told));
    let url = drill.url("/scenario/x?header=cache-control:must-revalidate");
    get(&client, &url).await;
    for asked in 2..=4 {
        assert_eq!(get(&client, &url).await.status(), 503);
        assert_eq!(drill.hits(), asked);
    }
}
