//! The command over a file: what it stored is there when it comes again, for whom it was for.

use std::path::Path;
use std::process::Command;

use spillgate::PartitionRules;
use spillgate::cache::CacheOptions;
use spillgate::cache::key::Identity;

use super::origin::{Origin, exchange, get, ok, proxy_to};
use crate::bench::drill;
use crate::command::Running;

/// A running `serve`, and where it listens.
fn serve(file: &Path) -> (Running, std::net::SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillgate"));
    command.arg("serve").arg("-c").arg(file);
    let mut running = Running::start(command);
    let line = running.line();
    let (_, address) = line.split_once("=http://").unwrap_or_else(|| panic!("{line}"));
    (running, address.trim().parse().unwrap())
}

#[cfg(unix)]
#[test]
fn command_serves_what_it_stored_before_it_was_started_anew() {
    let (drill, directory) = (drill(), tempfile::tempdir().unwrap());
    let file = directory.path().join("serve.toml");
    let listener =
        format!("[[listener]]\nbind = \"127.0.0.1:0\"\nupstream = {:?}\n", drill.url(""));
    let cache = "[defaults.cache]\nstore = \"disk\"\npath = \"stored\"\n";
    std::fs::write(&file, format!("{listener}{cache}")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let head = "GET /etag?max_age=60 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for told in ["fwd=uri-miss; stored", "hit; ttl="] {
        let (running, address) = serve(&file);
        let answer = runtime.block_on(exchange(address, head));
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(told), "{answer}");
        let mut second = Command::new(env!("CARGO_BIN_EXE_spillgate"));
        let second = second.arg("serve").arg("-c").arg(&file).output().unwrap();
        let text = String::from_utf8(second.stderr).unwrap();
        assert_eq!(second.status.code(), Some(3), "{text}");
        assert!(text.contains("cache.path") && text.contains("in use"), "{text}");
        running.signal("TERM");
        let (status, told) = running.wait();
        assert_eq!(status.code(), Some(0), "{told}");
    }
    assert_eq!(drill.hits(), 1);
    assert!(directory.path().join("stored").exists(), "beside its configuration");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_rules_store_for_each_holder_of_credentials_alone() {
    let origin = Origin::start(|head| {
        let name = head.lines().find_map(|line| line.strip_prefix("cookie: ")).unwrap_or("nobody");
        ok("Cache-Control: private, max-age=60\r\n", &format!("for {name}."))
    });
    origin.gate(true);
    let (identity, partitions) = (Identity::UnlessShared, PartitionRules::Private);
    let options = CacheOptions { identity, partitions, ..CacheOptions::default() };
    let sidecar = proxy_to(origin.addr, options).await;
    for round in 0..2 {
        for (fields, name, stored) in [
            ("Cookie: id=a\r\n", "id=a", true),
            ("Cookie: id=b\r\n", "id=b", true),
            ("", "nobody", false),
        ] {
            let answer = get(&sidecar, "/a", fields).await.unwrap();
            assert!(answer.ends_with(&format!("for {name}.")), "{answer}");
            assert_eq!(answer.contains("spillgate; hit"), round == 1 && stored, "{answer}");
        }
    }
    assert_eq!(origin.count(), 4);
}
