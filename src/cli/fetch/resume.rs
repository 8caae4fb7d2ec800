//! What a run remembers, so that the next one with `--resume` does only what is left.
//!
//! One JSON line when a file gets its name and one when a URL has ended, appended after the row was
//! written: whatever kills the run, no row that is noted as finished was lost. A row goes by its
//! index; a digest of the URL tells when the input was changed in between.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct Past {
    rows: HashMap<u64, PastRow>,
}

/// What an earlier run did for one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastRow {
    /// Whose row it is.
    pub(crate) digest: String,
    /// Whether nothing is left to do.
    pub(crate) is_finished: bool,
    /// The file it was given.
    pub(crate) file: Option<PathBuf>,
}

/// Where this run is noted.
#[derive(Debug)]
pub(crate) struct Notes {
    path: PathBuf,
    keeping: Keeping,
}

#[derive(Debug)]
enum Keeping {
    /// Each line at once.
    InFile(File),
    /// What is finished, until somebody interrupts.
    InMemory(Vec<(u64, String)>),
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    index: u64,
    /// The digest of the URL.
    url: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Begun,
    Finished,
    Failed,
}

impl Past {
    /// Reads what an earlier run noted; no file is no past.
    ///
    /// A line that cannot be read, such as the last one of a killed run, is as good as none.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut rows = HashMap::new();
        for line in BufReader::new(file).split(b'\n') {
            let Ok(note) = serde_json::from_slice::<Note>(&line?) else { continue };
            let is_finished = note.state == State::Finished;
            rows.insert(note.index, PastRow { digest: note.url, is_finished, file: note.file });
        }
        Ok(Self { rows })
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What was done for a row, unless it was another URL then.
    pub(crate) fn row(&self, index: u64, digest: &str) -> Option<&PastRow> {
        self.rows.get(&index).filter(|row| row.digest == digest)
    }

    /// The files that rows were given.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.rows.values().filter_map(|row| row.file.as_deref())
    }
}

impl Notes {
    /// Begins a new file.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Self { path, keeping: Keeping::InFile(file) })
    }

    /// Goes on with the file of an earlier run.
    pub(crate) fn append(path: PathBuf) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        // A killed run may have left half a line.
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self { path, keeping: Keeping::InFile(file) })
    }

    /// Writes a file only if the run is interrupted.
    pub(crate) fn in_memory(path: PathBuf) -> Self {
        Self { path, keeping: Keeping::InMemory(Vec::new()) }
    }

    /// Where it is, or would be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a URL has a file.
    pub(crate) fn begun(&mut self, index: u64, digest: &str, file: &Path) -> io::Result<()> {
        self.note(Note {
            index,
            url: digest.to_owned(),
            state: State::Begun,
            file: Some(file.to_owned()),
        })
    }

    /// Notes that a URL has ended.
    pub(crate) fn ended(
        &mut self,
        index: u64,
        digest: &str,
        is_final: bool,
        file: Option<PathBuf>,
    ) -> io::Result<()> {
        let state = if is_final { State::Finished } else { State::Failed };
        self.note(Note { index, url: digest.to_owned(), state, file })
    }

    /// Makes sure that what is finished is in the file.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        let Keeping::InMemory(finished) = &mut self.keeping else { return Ok(()) };
        let finished = std::mem::take(finished);
        self.keeping = Keeping::InFile(File::create(&self.path)?);
        finished.into_iter().try_for_each(|(index, digest)| self.ended(index, &digest, true, None))
    }

    fn note(&mut self, note: Note) -> io::Result<()> {
        match &mut self.keeping {
            Keeping::InFile(file) => {
                let mut line = serde_json::to_vec(&note)?;
                line.push(b'\n');
                file.write_all(&line)
            }
            Keeping::InMemory(finished) => {
                if note.state == State::Finished {
                    finished.push((note.index, note.url));
                }
                Ok(())
            }
        }
    }
}

/// Tells one URL from another without showing it.
pub(crate) fn digest(url: &str) -> String {
    let hex = blake3::hash(url.as_bytes()).to_hex();
    hex.chars().take(DIGEST_LENGTH).collect()
}

/// The name of the file, in the directory it belongs to.
pub(crate) const FILE_NAME: &str = ".spillgate-resume.ndjson";
/// Enough to tell the lines of one input apart.
const DIGEST_LENGTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_note_counts_and_half_a_line_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let (a, b) = (digest("http://a/"), digest("http://b/"));
        let mut notes = Notes::create(path.clone()).unwrap();
        notes.begun(0, &a, Path::new("d/a")).unwrap();
        notes.begun(1, &b, Path::new("d/b")).unwrap();
        notes.ended(0, &a, true, Some("d/a".into())).unwrap();
        notes.ended(1, &b, false, None).unwrap();
        drop(notes);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"index":1,"url":"#).unwrap();
        drop(file);

        let past = Past::load(&path).unwrap();
        assert!(past.row(0, &a).unwrap().is_finished);
        assert!(!past.row(1, &b).unwrap().is_finished);
        assert_eq!(past.row(1, &a), None, "the line was changed");

        let mut notes = Notes::append(path.clone()).unwrap();
        notes.ended(1, &b, true, None).unwrap();
        assert!(Past::load(&path).unwrap().row(1, &b).unwrap().is_finished);
    }

    #[test]
    fn memory_becomes_a_file_when_saved() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut notes = Notes::in_memory(path.clone());
        notes.ended(3, "d", true, None).unwrap();
        notes.ended(4, "e", false, None).unwrap();
        assert!(!path.exists());
        notes.save().unwrap();
        let past = Past::load(&path).unwrap();
        assert!(past.row(3, "d").unwrap().is_finished);
        assert_eq!(past.row(4, "e"), None);
    }
}
