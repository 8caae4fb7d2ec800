//! Streams a body to a file, which gets its name when it is whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use spillgate_actors::answer::StreamingResponse;
use spillgate_actors::error::Error;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::cli::fetch::naming::PART;

/// How a download ended.
pub(crate) enum Saved {
    /// All of the body is in the file.
    Whole(u64),
    /// The body broke; nothing is left of it.
    Broken(Error),
    /// The file cannot be written.
    Unwritable(io::Error),
}

/// Streams the body to `path` by way of its part file, counting bytes in `traffic` as they come.
pub(crate) async fn save(
    mut response: StreamingResponse,
    path: &Path,
    traffic: &AtomicU64,
) -> Saved {
    let part = match Part::create(path).await {
        Ok(part) => part,
        Err(error) => return Saved::Unwritable(error),
    };
    let Part { mut file, mut guard } = part;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Saved::Broken(error),
        };
        if let Err(error) = file.write_all(&chunk).await {
            return Saved::Unwritable(error);
        }
        bytes += chunk.len() as u64;
        traffic.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
    let written = async {
        file.flush().await?;
        guard.rename(path).await
    };
    match written.await {
        Ok(()) => Saved::Whole(bytes),
        Err(error) => Saved::Unwritable(error),
    }
}

/// Reads a body that is not wanted, as far as it is short, so that its connection can be kept.
pub(crate) async fn discard(mut response: StreamingResponse) -> u64 {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = response.chunk().await {
        bytes += chunk.len() as u64;
        if bytes > DISCARD_MAX {
            break;
        }
    }
    bytes
}

/// The part file of `path`.
pub(crate) fn part_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(PART);
    path.with_file_name(name)
}

/// A file that is being written.
struct Part {
    file: File,
    guard: Guard,
}

/// Removes the part file unless it was renamed; also when the download is cancelled.
struct Guard(Option<PathBuf>);

impl Part {
    async fn create(path: &Path) -> io::Result<Self> {
        // What is no regular file, such as a pipe or `/dev/null`, must not be replaced by one.
        let is_special = tokio::fs::metadata(path).await.is_ok_and(|there| !there.is_file());
        if is_special {
            let file = File::options().write(true).open(path).await?;
            return Ok(Self { file, guard: Guard(None) });
        }
        let part = part_path(path);
        let file = File::create(&part).await?;
        Ok(Self { file, guard: Guard(Some(part)) })
    }
}

impl Guard {
    async fn rename(&mut self, path: &Path) -> io::Result<()> {
        if let Some(part) = &self.0 {
            tokio::fs::rename(part, path).await?;
            self.0 = None;
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(part) = self.0.take() {
            let _ = std::fs::remove_file(part);
        }
    }
}

/// Bytes of an unwanted body that are read.
const DISCARD_MAX: u64 = 1024 * 1024;
