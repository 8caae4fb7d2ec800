//! What is shown at once, and what becomes of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use spillgate::{ErrorKind, Freshness, HostOverrides};

use super::get;
use crate::bench::client;
use crate::sidecar::origin::{Origin, ok, status};

#[tokio::test]
async fn error_page_is_not_shown_in_the_place_of_what_is_stored() {
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match number.fetch_add(1, Ordering::SeqCst) {
        0 => ok("Cache-Control: max-age=0\r\nETag: \"1\"\r\n", "kept"),
        _ => status("503 Service Unavailable", "", "sorry"),
    });
    origin.gate(true);
    let client =
        client(|builder| builder.host("127.0.0.1", |host: HostOverrides| host.attempts(1)));
    let url = format!("http://{}/a", origin.addr);
    get(&client, &url).await;
    let mut views = client.get(&url).watch();
    for refreshing in [true, false] {
        let view = views.next().await.unwrap();
        assert_eq!((view.response.bytes().as_ref(), view.refreshing), (&b"kept"[..], refreshing));
        assert!(matches!(view.freshness, Freshness::Stale { .. }));
    }
    assert!(views.next().await.is_none());
    assert_eq!(views.error().unwrap().kind(), ErrorKind::HttpStatus);
    let other = format!("http://{}/b", origin.addr);
    let mut nothing = client.get(other).watch();
    assert_eq!(nothing.next().await.unwrap().response.status(), 503);
}
