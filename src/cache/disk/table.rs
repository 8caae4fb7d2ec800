//! The file: rows of pages in pieces, and beside them what is known of each without reading it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::cache::disk::{Change, Key, rows};
use crate::cache::page::Page;

/// The open file.
pub(super) struct Table {
    database: Database,
    opened: u64,
    pub(super) secret: [u8; 32],
}

/// What is known of a page without reading it.
pub(super) struct Known {
    pub(super) key: Key,
    pub(super) bytes: u64,
    pub(super) used: u64,
}

impl Table {
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<(Self, Vec<Known>)> {
        make_directory(path)?;
        match Self::begin(path, bytes_max) {
            Ok(opened) => Ok(opened),
            Err(redb::Error::DatabaseAlreadyOpen) => {
                let text = "it is in use, by another process or another client";
                Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
            }
            Err(error) if is_unreadable(&error) => {
                if !was_store(path)? {
                    let text = "there is a file that is no store; remove it or name another";
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
                }
                // A cache may forget anything: better an empty one than none.
                std::fs::remove_file(path)?;
                Self::begin(path, bytes_max).map_err(io::Error::other)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn begin(path: &Path, bytes_max: u64) -> Result<(Self, Vec<Known>), redb::Error> {
        let length = file(path)?.metadata()?.len();
        let mut database = Database::builder().set_cache_size(PAGES_CACHE_BYTES).create(path)?;
        if length > bytes_max {
            database.compact()?;
        }
        let write = database.begin_write()?;
        let (opened, secret);
        {
            let mut facts = write.open_table(FACTS)?;
            let number = facts.get(OPENED)?.and_then(|fact| eight(fact.value()));
            opened = number.unwrap_or_default() + 1;
            facts.insert(OPENED, opened.to_le_bytes().as_slice())?;
            let known = facts.get(SECRET)?.and_then(|fact| fact.value().try_into().ok());
            secret = known.map_or_else(fresh_secret, Ok)?;
            facts.insert(SECRET, secret.as_slice())?;
            write.open_table(PIECES)?;
            write.open_table(PAGES)?;
        }
        write.commit()?;
        let mut known = Vec::new();
        for row in database.begin_read()?.open_table(PAGES)?.iter()? {
            let (key, value) = row?;
            let (bytes, used, _) = value.value();
            known.push(Known { key: *key.value(), bytes, used });
        }
        Ok((Self { database, opened, secret }, known))
    }

    /// The page of a key; `None` if it is not there or not as it was written.
    pub(super) fn read(&self, key: &Key) -> Option<Page> {
        let row = self.row(key).ok().flatten()?;
        rows::read(&row, self.opened)
    }

    fn row(&self, key: &Key) -> Result<Option<Vec<u8>>, redb::Error> {
        let read = self.database.begin_read()?;
        let Some(known) = read.open_table(PAGES)?.get(key)? else { return Ok(None) };
        let (_, _, count) = known.value();
        let table = read.open_table(PIECES)?;
        let mut row = Vec::new();
        for piece in table.range((key, 0)..(key, count))? {
            row.extend(piece?.1.value());
        }
        Ok(Some(row))
    }

    /// Brings a batch to disk, all of it or nothing.
    pub(super) fn write(&self, batch: &[Change]) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        {
            let mut pages = write.open_table(PAGES)?;
            let mut pieces = write.open_table(PIECES)?;
            for (key, page, used) in batch {
                let old = pages.remove(key)?.map_or(0, |known| known.value().2);
                let mut count = 0;
                if let Some(page) = page {
                    for piece in rows::write(page, self.opened).chunks(PIECE_BYTES) {
                        pieces.insert((key, count), piece)?;
                        count += 1;
                    }
                    pages.insert(key, (page.bytes(), *used, count))?;
                }
                for left in count..old {
                    pieces.remove((key, left))?;
                }
            }
        }
        write.commit()?;
        Ok(())
    }
}

/// The file, which is for its owner alone: it holds answers and the secret of their keys.
fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut permissions = file.metadata()?.permissions();
        // Whatever others than the owner may do with it.
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            file.set_permissions(permissions)?;
        }
    }
    Ok(file)
}

/// Makes the directories to a file, if there are none, for their owner alone.
fn make_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let Some(directory) = directory.filter(|directory| !directory.exists()) else { return Ok(()) };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Whether a file that does not read as a store has been one, or was about to be: anything else is
/// not ours to remove.
fn was_store(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head == MAGIC || head.iter().all(|byte| *byte == 0))
}

fn fresh_secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    Ok(secret)
}

fn eight(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Whether a file is there and may be used, but is no store.
fn is_unreadable(error: &redb::Error) -> bool {
    let is_other =
        matches!(error, redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData);
    is_other
        || matches!(
            error,
            redb::Error::Corrupted(_)
                | redb::Error::UpgradeRequired(_)
                | redb::Error::RepairAborted
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TypeDefinitionChanged { .. }
        )
}

const PAGES: TableDefinition<'_, &Key, (u64, u64, u32)> = TableDefinition::new("pages");
const PIECES: TableDefinition<'_, (&Key, u32), &[u8]> = TableDefinition::new("pieces");
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
/// How a store begins.
const MAGIC: &[u8] = b"redb";
const OPENED: &str = "opened";
const SECRET: &str = "secret";
/// A row is cut into pieces of this size, which fill the file's own blocks well.
const PIECE_BYTES: usize = 60 << 10;
/// What the file's own cache takes of memory.
const PAGES_CACHE_BYTES: usize = 4 << 20;
