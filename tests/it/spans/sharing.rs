//! Calls that share a flight: one has the attempts, the others point to it.

use serde_json::json;
use spillgate::CancellationToken;

use super::bench::{Bench, PATIENCE, received_traceparents, traceparent};

#[tokio::test]
async fn follower_links_to_the_call_that_has_the_attempt() {
    let bench = Bench::plain();
    let url = bench.drill.url("/delay/100");
    let calls = (0..5).map(|_| bench.client.get(&url).route("/shared").send());
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let (spans, drill) = bench.finish().await;
    let calls = spans.calls("/shared");
    let coalesced = |call: &serde_json::Value| call["attributes"]["spillgate.coalesced"] == true;
    let (followers, leaders): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| coalesced(call));
    let [leader] = leaders[..] else { panic!("{leaders:#?}") };
    assert_eq!(received_traceparents(&drill), [traceparent(spans.attempt(leader))]);
    assert_eq!((leader["links"].clone(), followers.len()), (json!([]), 4));
    let link = json!([{ "trace_id": leader["trace_id"], "span_id": leader["span_id"] }]);
    for follower in followers {
        assert_eq!(follower["links"], link);
        assert_ne!(follower["trace_id"], leader["trace_id"]);
        assert_eq!(spans.names_below(follower), [""; 0]);
        assert_eq!(follower["attributes"]["http.response.status_code"], 200);
    }
}

#[tokio::test]
async fn attempt_outlives_the_leader_and_loses_no_span() {
    let bench = Bench::plain();
    let url = bench.drill.url("/status/503?times=1");
    let token = CancellationToken::new();
    let leader = bench.client.get(&url).route("/shared").cancel_on(&token).send();
    let follower = bench.client.get(&url).route("/shared").send();
    let leave = async {
        bench.drill.wait_for(|state| state.hits() == 1, PATIENCE).await.unwrap();
        token.cancel();
    };
    let (left, answer, ()) = tokio::join!(leader, follower, leave);
    left.unwrap_err();
    assert_eq!(answer.unwrap().status(), 200);
    // The leader's attempts end after the leader: no tidy tree.
    let (spans, drill) = bench.finish_untidy().await;
    let calls = spans.calls("/shared");
    assert_eq!(calls.len(), 2);
    let mut sent: Vec<_> =
        calls.iter().flat_map(|call| spans.attempts(call)).map(traceparent).collect();
    let mut received = received_traceparents(&drill);
    sent.sort();
    received.sort();
    assert_eq!((sent.len(), sent), (2, received));
}
