//! Standard output for a text that is ready as a whole.

use std::io::{self, Write as _};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;

/// Prints it all; a reader that stops reading, as a pager does, has seen enough.
pub(crate) fn print(text: &[u8]) -> Exit {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Failure::usage(format!("standard output cannot be written: {error}")).tell()
        }
        Ok(()) | Err(_) => Exit::Fine,
    }
}
