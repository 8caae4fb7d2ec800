//! nginx and Varnish as caches before an origin, with what they need in a folder of their own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use spillgate_benches::child::{Server, free_addr};

/// nginx with two workers; `None` if it is not installed.
pub(crate) fn nginx(upstream: SocketAddr, folder: &Path) -> io::Result<Option<Server>> {
    let Some(program) = installed("nginx") else { return Ok(None) };
    let addr = free_addr()?;
    let shown = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {shown}/{name};"))
        .join("\n    ");
    // The number of requests a connection may have is a default that no cache is compared by.
    let text = format!(
        "daemon off;
user root;
worker_processes 2;
pid {shown}/nginx.pid;
error_log {shown}/error.log;
events {{ worker_connections 1024; }}
http {{
    {temporary}
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=60m;
    proxy_cache_path {shown}/cache keys_zone=bench:10m inactive=60m;
    server {{
        listen {addr};
        location / {{
            proxy_pass http://{upstream};
            proxy_cache bench;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
    Server::at(addr, &mut command).map(Some)
}

/// Varnish with its store in memory; `None` if it is not installed.
pub(crate) fn varnish(upstream: SocketAddr, folder: &Path) -> io::Result<Option<Server>> {
    let Some(program) = installed("varnishd") else { return Ok(None) };
    let addr = free_addr()?;
    let mut command = Command::new(program);
    command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,256m", "-n"]);
    command.arg(folder.join("varnish"));
    command.arg("-a").arg(addr.to_string()).arg("-b").arg(upstream.to_string());
    Server::at(addr, &mut command).map(Some)
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(Into::into));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}
