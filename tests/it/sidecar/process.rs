//! The command as a process, with what a test needs to know of it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

use tempfile::TempDir;

use super::origin::exchange;
use crate::command::{Running, spillgate};

/// A sidecar that runs as a process of its own.
pub(crate) struct Serving {
    running: Running,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) file: PathBuf,
    _directory: TempDir,
}

/// A listener on a free port for an upstream.
pub(crate) fn listener(upstream: &str) -> String {
    format!("[[listener]]\nbind = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n")
}

impl Serving {
    /// Starts it with these listeners; the admin listener is added.
    pub(crate) fn start(text: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("serve.toml");
        fs::write(&file, text).unwrap();
        let mut command = spillgate(&["serve", "--admin", "127.0.0.1:0"]);
        command.arg("-c").arg(&file).args(flags);
        let mut running = Running::start(command);
        let mut listeners = Vec::new();
        let admin = loop {
            let line = running.line();
            let (name, url) = line.split_once('=').unwrap();
            let address = url.split_once("://").unwrap().1.parse().unwrap();
            if name == "admin" {
                break address;
            }
            listeners.push(address);
        };
        Self { running, listeners, admin, file, _directory: directory }
    }

    /// Writes the file anew.
    pub(crate) fn rewrite(&self, text: &str) {
        // Whole or not at all, as an editor or a mounted directory does it.
        let beside = self.file.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, &self.file).unwrap();
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// What the admin listener answers.
    pub(crate) async fn ask(&self, line: &str) -> String {
        ask(self.admin, line, "Host: localhost\r\n").await
    }

    /// Waits until the admin listener answers so.
    pub(crate) async fn until(&self, line: &str, holds: impl Fn(&str) -> bool) -> String {
        let until = std::time::Instant::now() + crate::bench::PATIENCE;
        loop {
            let answer = self.ask(line).await;
            if holds(&answer) {
                return answer;
            }
            assert!(std::time::Instant::now() < until, "not in time: {line}: {answer}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits for its end; answers its status and what it said on stderr.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        self.running.wait()
    }
}

/// Asks a listener that closes the connection after each answer.
pub(crate) async fn ask(addr: SocketAddr, line: &str, fields: &str) -> String {
    exchange(addr, format!("{line} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n")).await
}
