//! Whether the client at the other end of a connection is still there.
//!
//! A client may close one connection and open another at once, and the event loop may see the new
//! request first. Counting both as in flight would be wrong, so the count asks the kernel, without
//! waiting and without taking bytes, which of the other connections are dead already.

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
