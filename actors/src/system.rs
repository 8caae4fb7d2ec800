//! The actors' thread.
//!
//! actix panics when it is started inside another runtime, so the library owns its thread: one
//! `System` with the coordinator, the hosts and their attempts. Addresses work from any runtime.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::{Actor, Addr, System};
use arc_swap::ArcSwapOption;
use spillgate_core::advice::ErrorKind;

use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::messages::Stop;
use crate::seams::Seams;

/// The thread of one client's actors; ends when dropped.
pub(crate) struct Shard {
    addr: Addr<Coordinator>,
    ended: ArcSwapOption<crossbeam_channel::Receiver<()>>,
}

impl Shard {
    /// Starts the thread and returns when its coordinator takes messages.
    pub(crate) fn start(seams: Arc<Seams>) -> Result<Self, Error> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let (ending, ended) = crossbeam_channel::bounded::<()>(0);
        let body = move || {
            let _ending = ending;
            let system = System::new();
            let addr = system.block_on(async move { Coordinator::new(seams).start() });
            if sender.send(addr).is_ok() {
                // The exit code of the system says nothing that anybody could act on.
                let _ = system.run();
            }
        };
        thread::Builder::new()
            .name("spillgate".to_owned())
            .spawn(body)
            .map_err(|cause| no_thread(&cause.to_string()))?;
        let addr = receiver.recv().map_err(|_| no_thread("the actor system did not start"))?;
        Ok(Self { addr, ended: ArcSwapOption::from_pointee(ended) })
    }

    /// The coordinator's address.
    pub(crate) fn addr(&self) -> &Addr<Coordinator> {
        &self.addr
    }

    /// Ends the thread and waits until it has ended, or until only a resolver can still hold it:
    /// the system's looks names up on a thread that nobody can call back, for as long as it likes.
    pub(crate) fn close(&self) {
        self.addr.do_send(Stop);
        if let Some(ended) = self.ended.swap(None) {
            // Nothing is ever sent: the channel closes when the thread ends.
            let _ = ended.recv_timeout(CLOSE_MAX);
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.addr.do_send(Stop);
    }
}

fn no_thread(cause: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the actors' thread could not be started: {cause}"))
}

/// Actors end and sockets close in milliseconds.
const CLOSE_MAX: Duration = Duration::from_secs(1);
