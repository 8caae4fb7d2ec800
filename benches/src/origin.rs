//! An origin of the benchmark's own: answers as it is told, after as long as it is told, and counts.
//!
//! It runs on a thread of its own, so that whoever is measured does not share its executor.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::wire::end_of_head;

/// A running origin; it ends with the process.
pub struct Origin {
    addr: SocketAddr,
    book: Arc<Book>,
}

/// A request, as the origin sees it.
pub struct Asked<'a> {
    /// Its request line and fields.
    pub head: &'a str,
    /// Its path.
    pub path: &'a str,
    /// How many there were for that path before it.
    pub number: usize,
}

/// What becomes of a request.
pub struct Told {
    /// How long it takes.
    pub after: Duration,
    /// The answer, head and body; `None` resets the connection.
    pub answer: Option<Vec<u8>>,
}

/// What came for one path.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When each request came.
    pub at: Vec<Instant>,
    /// The most that were there at once.
    pub together_max: usize,
    together: usize,
}

type Say = dyn Fn(&Asked<'_>) -> Told + Send + Sync;

#[derive(Default)]
struct Book {
    seen: Mutex<HashMap<String, Seen>>,
    changed: Notify,
}

impl Origin {
    /// Starts one on a free port of the loopback interface.
    pub fn start(say: impl Fn(&Asked<'_>) -> Told + Send + Sync + 'static) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (addr, book) = (listener.local_addr()?, Arc::new(Book::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (own, say): (_, Arc<Say>) = (book.clone(), Arc::new(say));
        let serve = async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream, own.clone(), say.clone()));
            }
        };
        let run = move || -> io::Result<()> { runtime.block_on(serve) };
        thread::Builder::new().name("origin".into()).spawn(run)?;
        Ok(Self { addr, book })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What has come for a path so far.
    pub fn seen(&self, path: &str) -> Seen {
        self.book.seen().get(path).cloned().unwrap_or_default()
    }

    /// Waits until so many requests have come for a path, and none of them is open.
    pub async fn settled(&self, path: &str, requests: usize) {
        self.until(path, |seen| seen.at.len() >= requests && seen.together == 0).await;
    }

    /// Waits until so many requests have come for a path.
    pub async fn reached(&self, path: &str, requests: usize) {
        self.until(path, |seen| seen.at.len() >= requests).await;
    }

    async fn until(&self, path: &str, holds: impl Fn(&Seen) -> bool) {
        loop {
            let changed = self.book.changed.notified();
            if holds(&self.seen(path)) {
                return;
            }
            changed.await;
        }
    }
}

impl Book {
    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, path: &str) -> usize {
        let mut all = self.seen();
        let seen = all.entry(path.to_owned()).or_default();
        seen.at.push(Instant::now());
        seen.together += 1;
        seen.together_max = seen.together_max.max(seen.together);
        let number = seen.at.len() - 1;
        drop(all);
        self.changed.notify_waiters();
        number
    }

    fn end(&self, path: &str) {
        if let Some(seen) = self.seen().get_mut(path) {
            seen.together -= 1;
        }
        self.changed.notify_waiters();
    }
}

async fn serve(mut stream: TcpStream, book: Arc<Book>, say: Arc<Say>) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(end) = end_of_head(&read) else {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head: Vec<u8> = read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let number = book.begin(path);
        let Told { after, answer } = say(&Asked { head: &head, path, number });
        tokio::time::sleep_until(tokio::time::Instant::now() + after).await;
        book.end(path);
        let Some(answer) = answer else {
            return stream.set_zero_linger();
        };
        stream.write_all(&answer).await?;
    }
}

impl Asked<'_> {
    /// The value of a field, in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Told {
    /// An answer with these fields, each line ended.
    pub fn status(status: &str, fields: &str, body: &[u8]) -> Self {
        let length = body.len();
        let mut answer =
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n").into_bytes();
        answer.extend_from_slice(body);
        Self { after: Duration::ZERO, answer: Some(answer) }
    }

    /// A 304 with these fields, each line ended.
    pub fn not_modified(fields: &str) -> Self {
        let answer = format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n").into_bytes();
        Self { after: Duration::ZERO, answer: Some(answer) }
    }

    /// No answer but a reset connection.
    pub fn reset() -> Self {
        Self { after: Duration::ZERO, answer: None }
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}
