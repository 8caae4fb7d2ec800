//! Many callers at once, through the proxy or through the library.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use spillgate::Client;
use spillgate_benches::wire::{self, Wire};
use tokio::task::JoinHandle;

/// How the callers reach the origin.
#[derive(Clone)]
pub(crate) enum Way {
    /// Over a connection each.
    Proxy(SocketAddr),
    /// Through one client, which asks the origin there.
    Library(Client, SocketAddr),
}

/// What one caller wants.
#[derive(Clone, Default)]
pub(crate) struct Wish {
    pub(crate) path: String,
    /// Fields beside the usual ones.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// How long after the others it comes.
    pub(crate) late: Duration,
    /// Whether it asks for a request of its own, where callers can.
    pub(crate) alone: bool,
}

/// What one caller had.
#[derive(Clone, Debug)]
pub(crate) struct Had {
    /// Zero if there was no answer.
    pub(crate) status: u16,
    pub(crate) cookie: Option<String>,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Wish {
    pub(crate) fn of(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    pub(crate) fn field(mut self, name: &'static str, value: String) -> Self {
        self.fields.push((name, value));
        self
    }
}

impl Way {
    /// Sends all at once and waits for all.
    pub(crate) async fn burst(&self, wishes: Vec<Wish>) -> Vec<Had> {
        let callers = self.callers(wishes).await;
        let began = tokio::time::Instant::now();
        let tasks: Vec<JoinHandle<Had>> = callers.into_iter().map(|own| own.call(began)).collect();
        join_all(tasks).await.into_iter().map(|had| had.expect("no caller panics")).collect()
    }

    /// Sends the same for so many callers.
    pub(crate) async fn same(&self, callers: usize, wish: Wish) -> Vec<Had> {
        self.burst(vec![wish; callers]).await
    }

    /// Sends one request.
    pub(crate) async fn one(&self, path: &str) -> Had {
        self.same(1, Wish::of(path)).await.remove(0)
    }

    /// Begins one request in a task of its own, which can be aborted.
    pub(crate) async fn begin(&self, path: &str) -> JoinHandle<Had> {
        let mut callers = self.callers(vec![Wish::of(path)]).await;
        callers.remove(0).call(tokio::time::Instant::now())
    }

    /// Callers that are connected.
    async fn callers(&self, wishes: Vec<Wish>) -> Vec<Caller> {
        let own = |wish: Wish| async {
            let late = wish.late;
            let kind = match self {
                Self::Proxy(addr) => Kind::Wire(
                    Wire::connect(*addr).await.expect("the proxy listens"),
                    wire::get(&wish.path, &lines(&wish)),
                ),
                Self::Library(client, origin) => {
                    let url = format!("http://{origin}{}", wish.path);
                    Kind::Library(client.clone(), url, Arc::new(wish))
                }
            };
            Caller { kind, late }
        };
        join_all(wishes.into_iter().map(own)).await
    }
}

struct Caller {
    kind: Kind,
    late: Duration,
}

enum Kind {
    Wire(Wire, Vec<u8>),
    Library(Client, String, Arc<Wish>),
}

impl Caller {
    fn call(self, began: tokio::time::Instant) -> JoinHandle<Had> {
        tokio::spawn(async move {
            tokio::time::sleep_until(began + self.late).await;
            let began = Instant::now();
            let had = match self.kind {
                Kind::Wire(wire, request) => ask(wire, &request).await,
                Kind::Library(client, url, wish) => send(&client, &url, &wish).await,
            };
            Had { took: began.elapsed(), ..had }
        })
    }
}

async fn ask(mut wire: Wire, request: &[u8]) -> Had {
    let answer = wire.ask(request).await;
    let Ok(answer) = answer else { return Had::nothing() };
    let lines = answer.head.lines();
    let mut cookies = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then(|| value.to_owned())
    });
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    Had { status: answer.status, cookie: cookies.next(), body, took: Duration::ZERO }
}

async fn send(client: &Client, url: &str, wish: &Wish) -> Had {
    let request = client.get(url);
    let request = wish
        .fields
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, value.as_str()));
    let request = if wish.alone { request.no_coalesce() } else { request };
    let Ok(answer) = request.send().await else { return Had::nothing() };
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok());
    Had {
        status: answer.status().as_u16(),
        cookie: cookie.map(str::to_owned),
        body: String::from_utf8_lossy(answer.bytes()).into_owned(),
        took: Duration::ZERO,
    }
}

fn lines(wish: &Wish) -> String {
    let line = |(name, value): &(&str, String)| [name, ": ", value.as_str(), "\r\n"].concat();
    wish.fields.iter().map(line).collect()
}

impl Had {
    fn nothing() -> Self {
        Self { status: 0, cookie: None, body: String::new(), took: Duration::ZERO }
    }
}
