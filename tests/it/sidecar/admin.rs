//! The admin listener, and the command that runs it all.

use super::origin::{Origin, exchange, get, ok, proxy};

async fn ask(addr: std::net::SocketAddr, line: &str, fields: &str) -> String {
    exchange(addr, format!("{line} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tells_how_it_is_and_only_to_this_machine() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let admin = sidecar.administer("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert!(sidecar.administer("0.0.0.0:0".parse().unwrap()).await.is_err());
    for _ in 0..2 {
        get(&sidecar, "/a", "").await.unwrap();
    }
    let host = "Host: localhost:1\r\n";
    for (path, expected) in [
        ("/healthz", "alive"),
        ("/readyz", "ready"),
        ("/metrics", "spillgate_cache_hits_total 1\n"),
        ("/cache", "\"addresses\":1"),
        ("/hosts", "\"attempts\":1"),
        ("/version", "version"),
    ] {
        let answer = ask(admin, &format!("GET {path}"), host).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{answer}");
        let other = ask(admin, &format!("GET {path}"), "Host: evil.example\r\n").await;
        assert!(other.starts_with("HTTP/1.1 403"), "{other}");
        let posted = ask(admin, &format!("POST {path}"), host).await;
        assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    }
    assert!(ask(admin, "GET /nothing", host).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidates_for_its_own_origin_alone() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let admin = sidecar.administer("127.0.0.1:0".parse().unwrap()).await.unwrap();
    get(&sidecar, "/a", "").await.unwrap();
    let host = format!("Host: {admin}\r\n");
    let foreign = format!("{host}Origin: http://evil.example\r\n");
    let refused = ask(admin, "POST /cache/invalidate?all", &foreign).await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let own = format!("{host}Origin: http://{admin}\r\n");
    let forgotten = ask(admin, "POST /cache/invalidate?all", &own).await;
    assert!(forgotten.contains("\"forgotten\":1"), "{forgotten}");
    get(&sidecar, "/a", "").await.unwrap();
    assert_eq!(origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_ends_what_was_begun_and_takes_no_more() {
    let origin = Origin::start(|_| ok("", "seen"));
    let sidecar = proxy(&origin).await;
    let addr = sidecar.addrs()[0];
    let begun = get(&sidecar, "/a", "");
    crate::bench::eventually("it is at the origin", || origin.count() == 1).await;
    let drained = tokio::spawn(sidecar.drain());
    crate::bench::eventually("nobody listens", || std::net::TcpStream::connect(addr).is_err())
        .await;
    assert!(!drained.is_finished());
    origin.gate(true);
    assert!(begun.await.unwrap().ends_with("seen"));
    drained.await.unwrap();
}

#[cfg(unix)]
#[test]
fn command_prints_where_it_listens_and_ends_in_order() {
    use std::process::Command;

    use crate::bench::drill;
    use crate::command::Running;

    let drill = drill();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("serve.toml");
    let text = format!(
        "[[listener]]\nbind = \"127.0.0.1:0\"\nupstream = \"{}\"\n[admin]\nbind = \"127.0.0.1:0\"\n",
        drill.url("")
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillgate"));
    command.arg("serve").arg("-c").arg(&file);
    let mut running = Running::start(command);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut address = |name: &str| {
        let line = running.line();
        let address = line.strip_prefix(name).and_then(|line| line.strip_prefix("=http://"));
        address.unwrap_or_else(|| panic!("{line}")).parse().unwrap()
    };
    let upstream = address(&format!("127.0.0.1:{}", drill.addr().port()));
    let admin = address("admin");
    let answer = runtime.block_on(ask(upstream, "GET /ok", "Host: a\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ready = runtime.block_on(ask(admin, "GET /readyz", "Host: localhost\r\n"));
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    running.signal("TERM");
    let (status, told) = running.wait();
    assert_eq!(status.code(), Some(0), "{told}");
    assert_eq!(drill.hits(), 1);
}
