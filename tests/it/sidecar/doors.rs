//! One origin behind both doors, `serve` and the library, so that a fact is tested on both alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use spillgate::Client;
use spillgate::sidecar::Sidecar;

use super::origin::{Origin, exchange_bytes, proxy};
use crate::bench::client;

/// A cache with an origin of its own behind it.
pub(crate) struct Case {
    pub(crate) origin: Origin,
    pub(crate) door: Door,
}

/// The way to it.
pub(crate) enum Door {
    Serve(Sidecar),
    Library(Client),
}

/// An answer; 502 stands for each error of the library.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
}

/// Checks a fact through one door and then, with another origin, through the other.
///
/// The origin is told a request's number, counted from zero, and its head; nothing ends the connection.
pub(crate) async fn through_both(
    say: impl Fn(usize, &str) -> Vec<u8> + Clone + Send + Sync + 'static,
    check: impl AsyncFn(&Case),
) {
    for served in [true, false] {
        let (say, number) = (say.clone(), Arc::new(AtomicUsize::new(0)));
        let origin = Origin::start(move |head| say(number.fetch_add(1, Ordering::SeqCst), head));
        origin.gate(true);
        let door = if served {
            Door::Serve(proxy(&origin).await)
        } else {
            Door::Library(client(|builder| builder.host("127.0.0.1", |host| host.attempts(1))))
        };
        check(&Case { origin, door }).await;
    }
}

impl Case {
    /// Asks for `/a`.
    pub(crate) async fn get(&self, fields: &[(&str, &str)]) -> Seen {
        self.send(Method::GET, "/a", fields).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Seen {
        match &self.door {
            Door::Serve(sidecar) => {
                let fields: String =
                    fields.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
                let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
                let answer = exchange_bytes(sidecar.addrs()[0], format!("{head}{fields}\r\n"));
                Seen::read(&answer.await)
            }
            Door::Library(client) => {
                let url = format!("http://{}{path}", self.origin.addr);
                let request =
                    fields.iter().fold(client.request(method, url), |request, (name, value)| {
                        request.header(*name, *value)
                    });
                match request.send().await {
                    Ok(response) => Seen {
                        status: response.status().as_u16(),
                        fields: response.headers().clone(),
                        body: response.bytes().clone(),
                    },
                    Err(_) => Seen { status: 502, fields: HeaderMap::new(), body: Bytes::new() },
                }
            }
        }
    }

    /// How many requests the origin has had.
    pub(crate) fn asked(&self) -> usize {
        self.origin.count()
    }
}

impl Seen {
    /// All lines of a field.
    pub(crate) fn lines(&self, name: &str) -> Vec<&[u8]> {
        self.fields.get_all(name).into_iter().map(HeaderValue::as_bytes).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn read(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let mut lines = answer[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = std::str::from_utf8(lines.next().unwrap()).unwrap();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut fields = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let name = HeaderName::from_bytes(&line[..colon]).unwrap();
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).unwrap();
            fields.append(name, value);
        }
        assert!(!fields.contains_key("transfer-encoding"), "a length is told");
        Self { status, fields, body: Bytes::copy_from_slice(&answer[end + 4..]) }
    }
}

/// A status line, fields with each line ended, and a body with its length.
pub(crate) fn say(status: &str, fields: &str, body: &str) -> Vec<u8> {
    super::origin::status(status, fields, body).into_bytes()
}

/// An answer without a body, such as a 304.
pub(crate) fn say_head(status: &str, fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes()
}
