//! The admin listener: who may ask for what, and what it tells.

use spillgate::sidecar::admin::AdminOptions;

use super::origin::{Origin, get, ok, proxy};
use super::process::ask;

/// All paths, whether they are posted, and what they answer when nothing stands against it.
const ROUTES: [(&str, bool, u16); 17] = [
    ("/healthz", false, 200),
    ("/readyz", false, 200),
    ("/version", false, 200),
    ("/metrics", false, 200),
    ("/hosts", false, 200),
    ("/hosts/unknown.example", false, 404),
    ("/queue", false, 200),
    ("/cache", false, 200),
    ("/config", false, 200),
    ("/cache/invalidate?all", true, 200),
    ("/breakers/unknown.example/open", true, 404),
    ("/breakers/unknown.example/close", true, 404),
    ("/breakers/unknown.example/reset", true, 404),
    // Only a process can do these.
    ("/reload", true, 501),
    ("/admin/reload", true, 501),
    ("/drain", true, 501),
    ("/nothing", false, 404),
];

const NO: Option<u16> = Some(403);
const TOKENLESS: Option<u16> = Some(401);

/// Fields of a request, and what stands against it: for probes, for looks, for changes.
type Row<'a> = (&'a str, [Option<u16>; 3]);

async fn status(admin: std::net::SocketAddr, line: &str, fields: &str) -> u16 {
    let answer = ask(admin, line, fields).await;
    assert!(!answer.to_lowercase().contains("access-control-"), "{answer}");
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn check(admin: std::net::SocketAddr, rows: &[Row<'_>]) {
    for (fields, [probe, look, change]) in rows {
        for (path, posted, plain) in ROUTES {
            let is_probe = path == "/healthz" || path == "/readyz";
            let against = match (is_probe, posted) {
                (true, _) => *probe,
                (false, true) => *change,
                (false, false) => *look,
            };
            let (right, wrong) = if posted { ("POST", "GET") } else { ("GET", "POST") };
            let told = status(admin, &format!("{right} {path}"), fields).await;
            assert_eq!(told, against.unwrap_or(plain), "{right} {path} with {fields:?}");
            let missing = path == "/nothing";
            for method in [wrong, "OPTIONS", "DELETE"] {
                let told = status(admin, &format!("{method} {path}"), fields).await;
                let expected = against.unwrap_or(if missing { 404 } else { 405 });
                assert_eq!(told, expected, "{method} {path} with {fields:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_is_for_this_machine_and_no_page_of_others() {
    let origin = Origin::start(|_| ok("", "seen"));
    let sidecar = proxy(&origin).await;
    let admin = sidecar.administer("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let own = format!("Host: {admin}\r\nOrigin: http://{admin}\r\n");
    check(
        admin,
        &[
            ("Host: localhost:1\r\n", [None; 3]),
            (&own, [None; 3]),
            ("Host: evil.example\r\n", [NO; 3]),
            ("", [NO; 3]),
            ("Host: localhost\r\nOrigin: http://evil.example\r\n", [None, NO, NO]),
            ("Host: localhost\r\nOrigin: null\r\n", [None, NO, NO]),
            ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", [None, NO, NO]),
            ("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", [None; 3]),
        ],
    )
    .await;
    assert_eq!(origin.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_exposed_wants_a_token_for_all_but_probes() {
    let origin = Origin::start(|_| ok("", "seen"));
    let sidecar = proxy(&origin).await;
    let everywhere = AdminOptions::at("0.0.0.0:0".parse().unwrap());
    let token = || Some("sixteen-letters!".to_owned());
    for refused in [
        everywhere.clone(),
        AdminOptions { exposed: true, ..everywhere.clone() },
        AdminOptions { token: token(), ..everywhere.clone() },
        AdminOptions { exposed: true, token: Some("short".into()), ..everywhere.clone() },
    ] {
        assert!(sidecar.administer_with(refused).await.is_err());
    }
    let options = AdminOptions { exposed: true, token: token(), ..everywhere };
    assert!(!format!("{options:?}").contains("sixteen"));
    let port = sidecar.administer_with(options).await.unwrap().port();
    check(
        format!("127.0.0.1:{port}").parse().unwrap(),
        &[
            ("Host: localhost\r\n", [None, TOKENLESS, TOKENLESS]),
            ("Host: 10.0.0.1\r\n", [None, TOKENLESS, TOKENLESS]),
            ("Host: a\r\nAuthorization: Bearer sixteen-letters?\r\n", [None, TOKENLESS, TOKENLESS]),
            ("Host: a\r\nAuthorization: Bearer sixteen-letters!\r\n", [None; 3]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tells_how_it_is() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let admin = sidecar.administer("127.0.0.1:0".parse().unwrap()).await.unwrap();
    for _ in 0..2 {
        get(&sidecar, "/a", "").await.unwrap();
    }
    let host = format!("/hosts/http%3A%2F%2F{}", origin.addr);
    for (path, expected) in [
        ("/healthz", "alive"),
        ("/readyz", "ready"),
        ("/metrics", "spillgate_cache_lookups_total{outcome=\"hit\"} 1\n"),
        ("/cache", "\"addresses\":1"),
        ("/hosts", "\"attempts\":1"),
        (&*host, "\"breaker\":\"closed\""),
        ("/queue", "\"queued\":0"),
        ("/config", "\"listeners\":[{"),
        ("/version", "version"),
    ] {
        let answer = ask(admin, &format!("GET {path}"), "Host: localhost:1\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{answer}");
    }
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
    let by_host = format!("POST /cache/invalidate?host={}", origin.addr);
    let forgotten = ask(admin, &by_host, &own).await;
    assert!(forgotten.contains("\"forgotten\":1"), "{forgotten}");
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
