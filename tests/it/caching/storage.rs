//! Where answers are kept, what survives a restart, and what can change while a client runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spillgate::cache::memory::MemoryStore;
use spillgate::cache::store::CacheStore as _;
use spillgate::{CacheMode, Client, Config, ErrorKind, PartitionRules};

use super::{get, with_headers};
use crate::bench::{client, drill, eventually};

fn on_disk(path: &Path, more: &str) -> Config {
    let path = path.display();
    let text = format!("[defaults.cache]\nstore = \"disk\"\npath = \"{path}\"\n{more}");
    Config::from_toml(&text, "test").unwrap()
}

/// Ends a client and opens another over the same file.
async fn restarted(client: Client, config: &Config) -> Client {
    client.shutdown(Duration::from_secs(5)).await;
    drop(client);
    let mut again = None;
    eventually("the file is free again", || {
        again = Client::builder().config(config.clone()).build().ok();
        again.is_some()
    })
    .await;
    again.unwrap()
}

#[tokio::test]
async fn restart_over_the_same_file_serves_what_was_stored_to_whom_it_was_for() {
    let (drill, directory) = (drill(), tempfile::tempdir().unwrap());
    let config = on_disk(&directory.path().join("a/cache"), "");
    let first = Client::builder().config(config.clone()).build().unwrap();
    let url = with_headers(&drill, "/ok", &["cache-control:public, max-age=60"]);
    let asks = |client: &Client| {
        [
            client.get(&url),
            client.get(&url).bearer_auth("alice"),
            client.get(&url).bearer_auth("bob"),
        ]
    };
    for request in asks(&first).into_iter().take(2) {
        request.send().await.unwrap();
    }
    let second = restarted(first, &config).await;
    for (request, hit) in asks(&second).into_iter().zip([true, true, false]) {
        assert_eq!(request.send().await.unwrap().report().cache.unwrap().hit, hit);
    }
    assert_eq!(drill.hits(), 3, "bob's was not stored before");
    assert!(second.cache().tally().pages > 0);
}

#[tokio::test]
async fn store_of_ones_own_serves_all_clients_over_it() {
    let (drill, store) = (drill(), Arc::new(MemoryStore::new(1 << 20)));
    let open = || Client::builder().cache_store(store.clone(), [7; 32]).build().unwrap();
    let url = with_headers(&drill, "/ok", &["cache-control:public, max-age=60"]);
    for (client, hit) in [(open(), false), (open(), true)] {
        let answer = client.get(&url).bearer_auth("alice").send().await.unwrap();
        assert_eq!(answer.report().cache.unwrap().hit, hit);
    }
    assert_eq!(drill.hits(), 1);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn what_was_stored_for_one_user_is_not_found_once_many_share_the_file() {
    let (drill, directory) = (drill(), tempfile::tempdir().unwrap());
    let path = directory.path().join("cache");
    let private = on_disk(&path, "mode = \"private\"\nidentity = \"shared\"\n");
    let first = Client::builder().config(private.clone()).build().unwrap();
    let url = with_headers(&drill, "/ok", &["cache-control:private, max-age=60"]);
    get(&first, &url).await;
    assert!(get(&first, &url).await.report().cache.unwrap().hit);
    let second = restarted(first, &on_disk(&path, "")).await;
    assert!(!get(&second, &url).await.report().cache.unwrap().hit);
    let third = restarted(second, &private).await;
    assert!(get(&third, &url).await.report().cache.unwrap().hit);
    assert_eq!(drill.hits(), 2);
}

#[tokio::test]
async fn path_that_cannot_be_used_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let (file, store) = (directory.path().join("file"), directory.path().join("store"));
    std::fs::write(&file, "no store").unwrap();
    let _holder = Client::builder().config(on_disk(&store, "")).build().unwrap();
    for (path, words) in [
        (store, "in use"),
        (file.clone(), "no store"),
        (file.join("below"), "cannot be used"),
        (directory.path().to_owned(), "cannot be used"),
    ] {
        let error = Client::builder().config(on_disk(&path, "")).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        let text = error.to_string();
        assert!(text.contains("cache.path") && text.contains(words), "{text}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "no store");
    let homeless = client_error(|config| config.cache.store = spillgate::CacheStorage::Disk);
    assert!(homeless.contains("needs a path"), "{homeless}");
}

fn client_error(change: impl FnOnce(&mut Config)) -> String {
    Client::builder().defaults(change).build().unwrap_err().to_string()
}

#[tokio::test]
async fn times_and_room_change_while_it_runs() {
    let (drill, client) = (drill(), Client::standard());
    let missing = drill.url("/status/404");
    get(&client, &missing).await;
    assert!(get(&client, &missing).await.report().cache.unwrap().hit);
    let other = drill.url("/status/404?key=other");
    let read = |text: &str| Config::from_toml(text, "test").unwrap();
    client.reload(read("[defaults.cache]\nnegative = \"0s\"\nfailures = \"10s\"")).unwrap();
    for _ in 0..2 {
        assert!(!get(&client, &other).await.report().cache.unwrap().hit);
    }
    let failing = drill.url("/status/503");
    let once = || client.get(&failing).no_retry().send();
    for hit in [false, true] {
        assert_eq!(once().await.unwrap().report().cache.unwrap().hit, hit);
    }
    let large: Vec<_> = (0..40).map(|n| drill.url(&format!("/ok?bytes=20000&key={n}"))).collect();
    for url in &large {
        let mut url = url::Url::parse(url).unwrap();
        url.query_pairs_mut().append_pair("header", "cache-control:max-age=60");
        get(&client, url.as_str()).await;
    }
    let (full, room) = (client.cache().size().bytes, 256 * 1024);
    assert!(full > room);
    client.reload(read("[defaults.cache]\nmax_bytes = \"256KiB\"")).unwrap();
    assert!(client.cache().size().bytes <= room, "{:?}", client.cache().size());
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_refused_and_changes_nothing() {
    let (drill, client) = (drill(), Client::standard());
    let directory = tempfile::tempdir().unwrap();
    for (text, setting) in [
        (
            format!("store = \"disk\"\npath = \"{}/cache\"", directory.path().display()),
            "cache.store",
        ),
        ("identity = \"shared\"".to_owned(), "cache.identity"),
    ] {
        let text = format!("[defaults.cache]\nnegative = \"0s\"\n{text}");
        let error = client.reload(Config::from_toml(&text, "test").unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(setting), "{error}");
    }
    assert!(!directory.path().join("cache").exists());
    let missing = drill.url("/status/404");
    get(&client, &missing).await;
    assert!(get(&client, &missing).await.report().cache.unwrap().hit, "negative is as it was");
}

#[tokio::test]
async fn private_rules_store_for_each_holder_of_credentials_alone() {
    let drill = drill();
    let client = client(|builder| {
        builder.defaults(|config| config.cache.partitions = PartitionRules::Private)
    });
    for (key, lines, stored) in [
        ("private", &["cache-control:private, max-age=60"][..], true),
        ("plain", &["cache-control:max-age=60"], true),
        ("cookie", &["cache-control:private, max-age=60", "set-cookie:a=1"], false),
        ("no-store", &["cache-control:no-store"], false),
        ("star", &["cache-control:private, max-age=60", "vary:*"], false),
    ] {
        let url = with_headers(&drill, &format!("/ok?key={key}"), lines);
        for round in [false, true] {
            for name in ["alice", "bob"] {
                let response = client.get(&url).bearer_auth(name).send().await.unwrap();
                let hit = response.report().cache.unwrap().hit;
                assert_eq!(hit, round && stored, "{key} {name}");
            }
        }
        let nobody = get(&client, &url).await.report().cache.unwrap();
        assert!(!nobody.hit, "{key}");
        assert_eq!(drill.hits_of(key), if stored { 3 } else { 5 }, "{key}");
    }
    let url = with_headers(&drill, "/ok?key=private", &["cache-control:private, max-age=60"]);
    let only = client.get(&url).cache_mode(CacheMode::OnlyIfCached).send().await;
    assert_eq!(only.unwrap_err().kind(), ErrorKind::NotCached, "nothing private for nobody");
}
