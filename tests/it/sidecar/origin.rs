//! An origin that a test holds back, the proxy before it, and clients of raw bytes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use spillgate::Client;
use spillgate::cache::key::Identity;
use spillgate::cache::memory::MemoryStore;
use spillgate::cache::{Cache, CacheOptions};
use spillgate::config::Config;
use spillgate::config::pattern::HostPattern;
use spillgate::config::serving::ListenerRole;
use spillgate::sidecar::{ListenerOptions, Sidecar};

use crate::bench::PATIENCE;

/// What an origin says to a request's head; nothing ends the connection.
pub(crate) type Say = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// An origin that answers once its gate is open.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    stage: Arc<Stage>,
}

#[derive(Default)]
struct Stage {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    heads: Vec<String>,
    connections: usize,
    closed: usize,
}

impl Origin {
    /// Starts one with a closed gate.
    pub(crate) fn start<T: Into<Vec<u8>>>(say: impl Fn(&str) -> T + Send + Sync + 'static) -> Self {
        let say = move |head: &str| say(head).into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stage, say): (Arc<Stage>, Arc<Say>) = (Arc::default(), Arc::new(say));
        let on_stage = stage.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stage, say) = (on_stage.clone(), say.clone());
                stage.state.lock().unwrap().connections += 1;
                thread::spawn(move || {
                    converse(&stream.unwrap(), &stage, say.as_ref());
                    // The stream is closed by then.
                    stage.state.lock().unwrap().closed += 1;
                });
            }
        });
        Self { addr, stage }
    }

    /// Lets answers out, or holds them back.
    pub(crate) fn gate(&self, open: bool) {
        self.stage.state.lock().unwrap().open = open;
        self.stage.changed.notify_all();
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.stage.state.lock().unwrap().heads.clone()
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.heads().len()
    }

    /// How many connections there were, and how many of them have ended.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let state = self.stage.state.lock().unwrap();
        (state.connections, state.closed)
    }
}

/// A field of the last answer on a connection: whoever reads it is not told.
pub(crate) const ENDS: &[u8] = b"X-Ends: 1\r\n";

fn converse(mut stream: &TcpStream, gate: &Stage, say: &Say) {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            match stream.read(&mut chunk) {
                Ok(count) if count > 0 => read.extend_from_slice(&chunk[..count]),
                Ok(_) | Err(_) => return,
            }
            continue;
        };
        let head: Vec<u8> = read.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        // The end of a chunked body looks like a head, but has no request line.
        if !head.contains(" HTTP/1.1\r\n") {
            continue;
        }
        let mut state = gate.state.lock().unwrap();
        state.heads.push(head.clone());
        gate.changed.notify_all();
        while !state.open {
            state = gate.changed.wait(state).unwrap();
        }
        drop(state);
        let answer = say(&head);
        let ends = answer.windows(ENDS.len()).any(|field| field == ENDS);
        if stream.write_all(&answer).is_err() || answer.is_empty() {
            return;
        }
        if ends {
            // Done once the other end has seen it and closed as well: then it uses it no more.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut read);
            return;
        }
    }
}

/// An answer of 200 with these fields, each line ended.
pub(crate) fn ok(fields: &str, body: &str) -> String {
    status("200 OK", fields, body)
}

/// An answer with these fields, each line ended.
pub(crate) fn status(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A proxy before an origin, as careful as `serve` is by default.
pub(crate) async fn proxy(origin: &Origin) -> Sidecar {
    proxy_to(origin.addr, CacheOptions { identity: Identity::UnlessShared, ..Default::default() })
        .await
}

/// A proxy with another cache.
pub(crate) async fn proxy_to(origin: SocketAddr, options: CacheOptions) -> Sidecar {
    proxy_with(origin, options, |_| {}).await
}

/// A proxy with a listener that is changed from what it would be.
pub(crate) async fn proxy_with(
    origin: SocketAddr,
    options: CacheOptions,
    change: impl FnOnce(&mut ListenerOptions),
) -> Sidecar {
    let upstream = format!("http://{origin}/").parse().unwrap();
    let mut listener = ListenerOptions::of(ListenerRole::Reverse(upstream));
    change(&mut listener);
    serve(listener, in_memory(options), |_| {}).await
}

/// A proxy over a cache.
pub(crate) async fn proxy_over(origin: SocketAddr, cache: Cache) -> Sidecar {
    let upstream = format!("http://{origin}/").parse().unwrap();
    serve(ListenerOptions::of(ListenerRole::Reverse(upstream)), cache, |_| {}).await
}

fn in_memory(options: CacheOptions) -> Cache {
    Cache::new(options, Arc::new(MemoryStore::new(64 << 20)), [7; 32])
}

/// A forward proxy for the hosts of these patterns.
pub(crate) async fn forward_proxy(allow: &[&str]) -> Sidecar {
    let allow = allow.iter().map(|pattern| HostPattern::parse(pattern).unwrap()).collect();
    listen(ListenerOptions::of(ListenerRole::Forward(allow)), |_| {}).await
}

/// A proxy as a listener is described, with changes to what is otherwise roomy.
pub(crate) async fn listen(listener: ListenerOptions, change: impl FnOnce(&mut Config)) -> Sidecar {
    let options = CacheOptions { identity: Identity::UnlessShared, ..Default::default() };
    serve(listener, in_memory(options), change).await
}

async fn serve(
    listener: ListenerOptions,
    cache: Cache,
    change: impl FnOnce(&mut Config),
) -> Sidecar {
    let client = Client::builder().passing_on().defaults(|config| {
        config.limits.global = 256;
        config.defaults.concurrency = 256;
        config.defaults.limit.floor = 256;
        change(config);
    });
    let client = client.build().unwrap();
    Sidecar::start(client, Arc::new(cache), vec![listener]).await.unwrap()
}

/// Sends bytes and reads until the connection ends.
pub(crate) async fn exchange(addr: SocketAddr, bytes: impl Into<Vec<u8>>) -> String {
    String::from_utf8_lossy(&exchange_bytes(addr, bytes).await).into_owned()
}

/// The same, with an answer of bytes.
pub(crate) async fn exchange_bytes(addr: SocketAddr, bytes: impl Into<Vec<u8>>) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bytes = bytes.into();
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after an answer is an end, too.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("the connection ends")
}

/// Sends a `GET` with these fields, each line ended, in a task of its own.
pub(crate) fn get(sidecar: &Sidecar, path: &str, fields: &str) -> tokio::task::JoinHandle<String> {
    let addr = sidecar.addrs()[0];
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    tokio::spawn(exchange(addr, head))
}

/// A client of raw bytes that goes on talking.
pub(crate) struct Talk(tokio::net::TcpStream);

impl Talk {
    /// Connects to a proxy and says something.
    pub(crate) async fn begin(sidecar: &Sidecar, bytes: impl AsRef<[u8]>) -> Self {
        let mut talk = Self(tokio::net::TcpStream::connect(sidecar.addrs()[0]).await.unwrap());
        talk.say(bytes).await;
        talk
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        use tokio::io::AsyncWriteExt as _;
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Says no more.
    pub(crate) async fn end(&mut self) {
        use tokio::io::AsyncWriteExt as _;
        self.0.shutdown().await.unwrap();
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.hear(1).await.into_bytes());
        }
        String::from_utf8(head).unwrap()
    }

    /// So many bytes.
    pub(crate) async fn hear(&mut self, count: usize) -> String {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = vec![0; count];
        let read = tokio::time::timeout(PATIENCE, self.0.read_exact(&mut bytes)).await;
        read.expect("bytes come").expect("the connection stands");
        String::from_utf8(bytes).unwrap()
    }

    /// All that comes until the connection ends.
    pub(crate) async fn rest(&mut self) -> String {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        // A reset is an end, too.
        let _ = read.expect("the connection ends");
        String::from_utf8(bytes).unwrap()
    }
}
