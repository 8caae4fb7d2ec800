//! Whether the client at the other end of a connection is still there.
//!
//! A client may close one connection and open another at once, and the event loop may see the new
//! request first. Counting both as in flight would be wrong, so the count asks the kernel, without
//! waiting and without taking bytes, which connections are dead already.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::sync::Weak;

use futures_util::FutureExt as _;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The far end of one connection, for asking after its health without keeping it open.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Number of the connection, in order of acceptance.
    pub(super) connection: u64,
    /// Index of the listener that accepted it.
    pub(super) host: usize,
    socket: Weak<TcpStream>,
}

/// What the kernel says of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pulse {
    /// No end of stream and no error is queued.
    Alive,
    /// The client closed or reset it.
    Gone,
    /// Unread bytes are queued, and an end of stream may hide behind them.
    Doubtful,
}

impl Line {
    pub(super) fn new(connection: u64, host: usize, socket: Weak<TcpStream>) -> Self {
        Self { connection, host, socket }
    }

    /// Asks the kernel; one system call.
    pub(super) fn pulse(&self) -> Pulse {
        let Some(socket) = self.socket.upgrade() else { return Pulse::Gone };
        match SockRef::from(&*socket).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => Pulse::Gone,
            Ok(_) if read_closed(&socket) => Pulse::Gone,
            Ok(_) => Pulse::Doubtful,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Pulse::Alive,
            Err(error) if error.kind() == ErrorKind::Interrupted => Pulse::Doubtful,
            Err(_) => Pulse::Gone,
        }
    }

    /// Makes the coming close of the socket a TCP RST.
    pub(super) fn close_by_reset(&self) {
        if let Some(socket) = self.socket.upgrade() {
            // A socket that refuses the option is closed already, which is as good.
            let _ = SockRef::from(&*socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

fn read_closed(socket: &TcpStream) -> bool {
    match socket.ready(Interest::READABLE).now_or_never() {
        Some(Ok(ready)) => ready.is_read_closed(),
        Some(Err(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use socket2::SockRef;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_silent_client_is_alive() {
        let (_client, _server, line) = pair().await;
        assert_eq!(line.pulse(), Pulse::Alive);
    }

    #[tokio::test]
    async fn a_client_that_closed_or_reset_is_gone() {
        for linger in [None, Some(std::time::Duration::ZERO)] {
            let (client, server, line) = pair().await;
            SockRef::from(&client).set_linger(linger).unwrap();
            drop(client);
            server.readable().await.unwrap();
            assert_eq!(line.pulse(), Pulse::Gone, "{linger:?}");
        }
    }

    #[tokio::test]
    async fn unread_bytes_are_doubtful_until_the_end_behind_them_is_known() {
        let (mut client, server, line) = pair().await;
        client.write_all(b"bytes").await.unwrap();
        server.readable().await.unwrap();
        assert_eq!(line.pulse(), Pulse::Doubtful);
        drop(client);
        while !server.ready(Interest::READABLE).await.unwrap().is_read_closed() {
            tokio::task::yield_now().await;
        }
        assert_eq!(line.pulse(), Pulse::Gone);
    }

    #[tokio::test]
    async fn a_connection_the_drill_closed_is_gone() {
        let (_client, server, line) = pair().await;
        drop(server);
        assert_eq!(line.pulse(), Pulse::Gone);
    }

    async fn pair() -> (TcpStream, Arc<TcpStream>, Line) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = Arc::new(listener.accept().await.unwrap().0);
        let line = Line::new(0, 0, Arc::downgrade(&server));
        (client, server, line)
    }
}
