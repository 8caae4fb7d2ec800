//! Which listeners there are, and how that changes while they serve.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::sidecar::listener::{self, Listening, Service};
use crate::sidecar::premises::{Part, Premises, Rooms};
use crate::sidecar::target::Duty;
use crate::sidecar::{Changes, ListenerOptions, PartId, tls};

/// Listens there, and nowhere else. Everything that can fail is done before anything changes.
pub(super) async fn change(
    premises: &Premises,
    stop: &CancellationToken,
    wanted: Vec<(PartId, ListenerOptions)>,
) -> io::Result<Changes> {
    let Rooms { listeners: mut old, parts } = Rooms::clone(&premises.rooms());
    let mut prepared = Vec::new();
    for (part, options) in wanted {
        let bind = options.bind.clone();
        let service = Arc::new(service_of(&parts, part, options)?);
        // Two may be told to take any free port: the first to be named keeps the first.
        let kept = old.iter().position(|listening| listening.bind == bind);
        match kept.map(|place| old.remove(place)) {
            Some(listening) => prepared.push(Prepared::Kept(listening, service)),
            None => prepared.push(Prepared::Added(bind, service)),
        }
    }
    // What goes makes room first only where it must: a socket that is there is not lost to an error.
    let mut bound = Vec::new();
    for one in prepared {
        bound.push(match one {
            Prepared::Kept(listening, service) => (listening, service, None),
            Prepared::Added(bind, service) => {
                let socket =
                    TcpListener::bind(&bind).await.map_err(|cause| named(&bind, &cause))?;
                let listening = Listening {
                    addr: socket.local_addr()?,
                    bind,
                    service: ArcSwap::new(service.clone()),
                    counts: Arc::default(),
                    house: premises.house.clone(),
                    stop: stop.child_token(),
                };
                (Arc::new(listening), service, Some(socket))
            }
        });
    }
    let mut changes = Changes { removed: old.len(), ..Changes::default() };
    let mut listeners = Vec::new();
    for (listening, service, socket) in bound {
        if let Some(socket) = socket {
            changes.added += 1;
            premises.house.connections.spawn(listener::serve(socket, listening.clone()));
        } else {
            changes.kept += 1;
            listening.service.store(service);
        }
        listeners.push(listening);
    }
    premises.furnish(Rooms { listeners, parts });
    old.iter().for_each(|listening| listening.stop.cancel());
    Ok(changes)
}

enum Prepared {
    Kept(Arc<Listening>, Arc<Service>),
    Added(String, Arc<Service>),
}

fn service_of(
    parts: &[Part],
    PartId(part): PartId,
    options: ListenerOptions,
) -> io::Result<Service> {
    let ListenerOptions { bind: _, role, repeats, tls, bounds, tunnels } = options;
    let part = parts.get(part).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "it stands on a part of another sidecar")
    })?;
    let tls = tls.as_ref().map(tls::acceptor).transpose()?;
    let duty = Duty { role, repeats, tunnels };
    Ok(Service { exchanges: part.exchanges.clone(), duty, tls, bounds })
}

/// An error with the address that it is about.
pub(super) fn named(bind: &str, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("cannot listen on {bind}: {cause}"))
}
