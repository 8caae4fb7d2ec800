//! Servers in processes of their own, which end with the benchmark.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that is killed when it is dropped.
pub struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    /// Runs `spillgate serve` before an upstream: this very program, told to be the command.
    pub fn spillgate(upstream: SocketAddr, preset: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let upstream = format!("http://{upstream}/");
        command.args(["serve", "--upstream", &upstream, "--preset", preset]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let addr = line.trim().rsplit_once("//").and_then(|(_, addr)| addr.parse().ok());
        let addr = addr.ok_or_else(|| io::Error::other("the sidecar does not say where it is"))?;
        Ok(Self { child, addr })
    }

    /// Runs a server that listens at an address.
    pub fn at(addr: SocketAddr, command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: child.spawn()?, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: some have processes of their own, which a killed one leaves behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let began = Instant::now();
        while !self.has_ended() && began.elapsed() < GRACE {
            std::thread::yield_now();
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process was started by [`Server::spillgate`].
pub fn is_spillgate() -> bool {
    std::env::args().nth(1).as_deref() == Some("serve")
}

/// An address that nobody listens at.
pub fn free_addr() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

const GRACE: Duration = Duration::from_secs(3);
