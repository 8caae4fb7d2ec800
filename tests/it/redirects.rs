//! Redirects: ours, so that nothing goes where it was not meant to.

use spillgate::{Body, Breaker, Client, ErrorClass, ErrorKind};

use crate::bench::{at_rest, client, drill, quick};

#[tokio::test]
async fn redirects_are_followed_up_to_five() {
    let (drill, client) = (drill(), Client::standard());
    let response = client.get(drill.url("/redirect/5")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 6));
    assert_eq!(response.url(), drill.url("/ok"));
    assert_eq!(drill.hits(), 6);
    let error = client.get(drill.url("/redirect/6")).send().await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::TooManyRedirects, ErrorClass::Permanent));
    assert_eq!(drill.hits(), 12);
    at_rest(&client).await;
}

#[tokio::test]
async fn credentials_stay_with_the_origin_they_were_given_for() {
    let (here, there) = (drill(), drill());
    let client = client(|builder| builder.default_header("x-api-key", "canary-default"));
    let to = there.url("/echo");
    let url = here.url(&format!("/redirect/1?to={to}"));
    let url = url.replace("http://", "http://user:canary-userinfo@");
    let call = client.get(url).header("cookie", "canary-cookie").header("x-auth", "canary-header");
    let response = call.header("accept", "text/plain").send().await.unwrap();
    let seen = response.text().unwrap();
    assert!(seen.contains("text/plain"), "{seen}");
    assert!(!seen.contains("canary") && !seen.contains("Basic"), "{seen}");
    assert!(here.requests()[0].header("authorization").is_some());
    assert_eq!(here.requests()[0].header("x-api-key"), Some("canary-default"));
    let call = client.get(here.url("/redirect/1?to=/echo")).bearer_auth("canary");
    let seen = call.send().await.unwrap().text().unwrap();
    assert!(seen.contains("Bearer canary") && seen.contains("canary-default"), "{seen}");
}

#[tokio::test]
async fn unsafe_method_never_crosses_an_origin() {
    let (here, there, client) = (drill(), drill(), Client::standard());
    let to = there.url("/echo");
    for status in [307, 308] {
        let url = here.url(&format!("/redirect/1?status={status}&to={to}"));
        let error = client.post(url).body("pay").send().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.class()),
            (ErrorKind::RedirectRefused, ErrorClass::Permanent)
        );
    }
    assert_eq!(there.hits(), 0);
    let same = here.url("/redirect/1?status=307&to=/echo");
    let seen = client.post(same).body("pay").send().await.unwrap().text().unwrap();
    assert!(seen.contains("POST") && seen.contains("pay"), "{seen}");
    let other = here.url(&format!("/redirect/1?status=303&to={to}"));
    let seen = client.post(other).body("pay").send().await.unwrap().text().unwrap();
    assert!(seen.contains("GET") && !seen.contains("pay"), "{seen}");
    let streamed = || {
        let body = Body::Stream(Box::pin(futures_util::stream::iter([Ok("pay".into())])));
        client.post(here.url("/redirect/1?status=307&to=/echo")).body(body)
    };
    let seen = streamed().send().await.unwrap().text().unwrap();
    assert!(seen.contains("POST") && seen.contains("pay"), "{seen}");
    let dropped = Body::Stream(Box::pin(futures_util::stream::iter([Ok("pay".into())])));
    let call = client.post(here.url("/redirect/1?status=303&to=/echo")).body(dropped);
    let seen = call.send().await.unwrap().text().unwrap();
    assert!(seen.contains("GET") && !seen.contains("pay"), "{seen}");
    let call = streamed().replay_max(0);
    assert_eq!(call.send().await.unwrap_err().kind(), ErrorKind::RedirectRefused);
}

#[tokio::test]
async fn https_is_not_left_for_http() {
    let plain = drill();
    let drill = spillgate::testing::Drill::builder().tls().start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, drill.ca_pem().unwrap()).unwrap();
    let client = client(|builder| builder.ca_file(&ca));
    assert_eq!(client.get(drill.url("/redirect/1")).send().await.unwrap().status(), 200);
    let url = drill.url(&format!("/redirect/1?to={}", plain.url("/ok")));
    let error = client.get(url).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RedirectRefused, "{error}");
    assert!(error.to_string().contains("https"), "{error}");
    assert_eq!(plain.hits(), 0);
}

#[tokio::test]
async fn each_hop_has_attempts_of_its_own() {
    let (here, there, client) = (drill(), drill(), quick());
    let to = there.url("/status/503?times=2");
    let response = client.get(here.url(&format!("/redirect/1?to={to}"))).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 4));
    assert_eq!((here.hits(), there.hits()), (1, 3));
    let hosts = client.snapshot().hosts;
    assert_eq!(hosts.iter().map(|host| host.attempts).sum::<u64>(), 4);
    assert!(hosts.iter().all(|host| host.queued == [0; 4] && host.running == 0));
}

#[tokio::test]
async fn scope_of_the_call_holds_for_every_hop_on_its_host() {
    let (drill, client) = (drill(), quick());
    let handle = client.breakers().get_or_create("payments", Breaker::consecutive(1));
    let call = client.get(drill.url("/redirect/1?to=/status/503")).scope("payments").no_retry();
    assert_eq!(call.send().await.unwrap().status(), 503);
    assert!(!handle.allow_request());
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    assert_eq!(client.snapshot().hosts[0].failures, 1);
}

#[tokio::test]
async fn redirect_that_cannot_be_followed_is_the_answer() {
    let drill = drill();
    let client = client(|builder| builder.defaults(|config| config.calls.redirects_max = 0));
    let response = client.get(drill.url("/redirect/3")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), drill.hits()), (302, 1));
    let nowhere = Client::standard();
    let error = nowhere.get(drill.url("/redirect/1?to=ftp://a/")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RedirectRefused);
}
