//! Listening sockets with room for a burst of connections.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

use socket2::{Domain, Protocol, Socket, Type};

/// Binds the address and, on free ports of the same interface, as many more as there are hosts.
pub(super) fn bind(address: &str, hosts: usize) -> io::Result<Vec<TcpListener>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let first = address.to_socket_addrs().map_err(named)?.next();
    let first = first.ok_or_else(|| named(io::ErrorKind::AddrNotAvailable.into()))?;
    let others = std::iter::repeat_n(SocketAddr::new(first.ip(), 0), hosts - 1);
    std::iter::once(first).chain(others).map(|one| listener(one).map_err(named)).collect()
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections the kernel holds until they are accepted; a burst beyond it would wait a second.
const BACKLOG: i32 = 4_096;
