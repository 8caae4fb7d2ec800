//! A client of raw bytes on a kept connection: it asks, finds the end of the answer, and no more.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection.
pub struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its status line and fields, names in lower case where the server has them so.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// A `GET` with these fields, each line ended.
pub fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{fields}\r\n").into_bytes()
}

impl Wire {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(128 << 10) })
    }

    /// Sends a request and waits for the whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        let (head, end) = self.exchange(request).await?;
        let text = String::from_utf8_lossy(self.read.get(..head).unwrap_or_default());
        let body = self.read.get(head..end).unwrap_or_default().to_vec();
        let status = text.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let answer = Answer { status, head: text.into_owned(), body };
        self.read.drain(..end);
        Ok(answer)
    }

    /// The same without a look at the answer; returns the length of its body.
    pub async fn pull(&mut self, request: &[u8]) -> io::Result<usize> {
        let (head, end) = self.exchange(request).await?;
        self.read.clear();
        Ok(end - head)
    }

    /// Where the head and the whole of the answer end, once it is there.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<(usize, usize)> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(end) = end_of_head(&self.read) {
                break end;
            }
            self.more().await?;
        };
        let length = length_of(self.read.get(..head).unwrap_or_default());
        let length = length.ok_or_else(|| broken("the answer does not tell its length"))?;
        while self.read.len() < head + length {
            self.more().await?;
        }
        Ok((head, head + length))
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(broken("the connection ended within an answer")),
            _ => Ok(()),
        }
    }
}

/// Where a head ends, if all of it is there.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn length_of(head: &[u8]) -> Option<usize> {
    let lines = head.split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    std::str::from_utf8(values.next()?).ok()?.trim().parse().ok()
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

const NAME: &[u8] = b"content-length:";
