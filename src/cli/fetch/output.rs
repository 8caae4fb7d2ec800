//! The thread that writes: rows to standard output, then what is finished to the notes.
//!
//! A reader of standard output may stop reading, as a pager does; with a thread of its own that
//! holds up neither progress nor signals.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use indicatif::MultiProgress;
use tokio::sync::{mpsc, oneshot};

use crate::cli::failure::Failure;
use crate::cli::fetch::resume::Notes;
use crate::cli::fetch::row::Row;

/// Something to write.
pub(crate) enum Item {
    /// A URL that ended.
    Row { row: Box<Row>, digest: String, is_final: bool, file: Option<PathBuf> },
    /// A URL that was given a file.
    Begun { index: u64, digest: String, file: PathBuf },
}

/// The writing thread.
pub(crate) struct Output {
    /// Takes what is to be written; closed when writing has failed.
    pub(crate) items: mpsc::Sender<Item>,
    ended: oneshot::Receiver<(Notes, Result<(), Unwritten>)>,
}

/// Why nothing more can be written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// Nobody reads standard output any more.
    ReaderGone,
    /// Something is wrong with it, or with the notes.
    Failed(Failure),
}

impl Output {
    /// Starts to write; rows to a terminal are kept apart from the bars on it.
    pub(crate) fn start(notes: Notes, bars: Option<MultiProgress>) -> Result<Self, Failure> {
        let (items, mut received) = mpsc::channel::<Item>(ITEMS_MAX);
        let (sender, ended) = oneshot::channel();
        let bars = bars.filter(|_| io::stdout().is_terminal());
        let work = move || {
            let mut notes = notes;
            let mut written = Ok(());
            while let (Ok(()), Some(item)) = (&written, received.blocking_recv()) {
                written = match &bars {
                    Some(bars) => bars.suspend(|| write(item, &mut notes)),
                    None => write(item, &mut notes),
                };
            }
            drop(received);
            let _ = sender.send((notes, written));
        };
        std::thread::Builder::new()
            .name("spillgate-output".to_owned())
            .spawn(work)
            .map_err(|error| Failure::bug(format!("cannot start a thread: {error}")))?;
        Ok(Self { items, ended })
    }

    /// Waits until all is written.
    pub(crate) async fn finish(self) -> Option<(Notes, Result<(), Unwritten>)> {
        drop(self.items);
        self.ended.await.ok()
    }
}

fn write(item: Item, notes: &mut Notes) -> Result<(), Unwritten> {
    let ended = match item {
        Item::Row { row, digest, is_final, file } => {
            write_row(&row).map_err(|error| {
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Unwritten::ReaderGone;
                }
                let failure = format!("standard output cannot be written: {error}");
                Unwritten::Failed(Failure::usage(failure))
            })?;
            notes.ended(row.index, &digest, is_final, file)
        }
        Item::Begun { index, digest, file } => notes.begun(index, &digest, &file),
    };
    ended.map_err(|error| {
        let path = notes.path().display();
        Unwritten::Failed(Failure::usage(format!("{path}: cannot be written: {error}")))
    })
}

fn write_row(row: &Row) -> io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

/// Rows that may wait for a slow reader.
const ITEMS_MAX: usize = 256;
