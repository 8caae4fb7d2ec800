//! Notices that files have changed, by looking at them every now and then.
//!
//! A directory that is swapped as a whole, as Kubernetes does it, changes no file that a watcher of
//! the system would see; what a name leads to, its length and its time are always there to be read.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Files, and how they looked last.
pub(super) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Look>,
    every: Duration,
}

/// How a file looks; none if there is no such file.
type Look = Option<(u64, Option<SystemTime>, PathBuf)>;

impl Watch {
    /// Watches nothing yet; looks after each such time, or never if that is zero.
    pub(super) fn new(every: Duration) -> Self {
        Self { files: Vec::new(), seen: Vec::new(), every }
    }

    /// Watches these files from here on; those that were not watched before, as they look now. To be
    /// called before they are read.
    pub(super) fn files(&mut self, files: Vec<PathBuf>) {
        let known = |file: &PathBuf| {
            let mut known = self.files.iter().zip(&self.seen);
            known.find(|(known, _)| *known == file).map(|(_, look)| look.clone())
        };
        self.seen = files.iter().map(|file| known(file).unwrap_or_else(|| look(file))).collect();
        self.files = files;
    }

    /// Takes the files as they look now. To be called before they are read.
    pub(super) fn refresh(&mut self) {
        self.seen = self.files.iter().map(look).collect();
    }

    /// Waits until one of them looks different, and has looked so twice: a file that is being
    /// written is none yet.
    pub(super) async fn changed(&mut self) {
        if self.every.is_zero() {
            return std::future::pending().await;
        }
        let mut before: Option<Vec<Look>> = None;
        loop {
            tokio::time::sleep(self.every).await;
            let now: Vec<Look> = self.files.iter().map(look).collect();
            if now == self.seen {
                before = None;
                continue;
            }
            if before.as_ref() == Some(&now) {
                self.seen = now;
                return;
            }
            before = Some(now);
        }
    }
}

fn look(file: &PathBuf) -> Look {
    let leads_to = std::fs::canonicalize(file).ok()?;
    let about = std::fs::metadata(&leads_to).ok()?;
    Some((about.len(), about.modified().ok(), leads_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_of_a_change_once_and_of_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        std::fs::write(&file, "one").unwrap();
        let mut watch = Watch::new(Duration::from_millis(1));
        watch.files(vec![file.clone(), directory.path().join("missing")]);
        let still = tokio::time::timeout(Duration::from_millis(20), watch.changed()).await;
        assert!(still.is_err(), "nothing has changed");
        std::fs::write(&file, "three").unwrap();
        watch.changed().await;
        let still = tokio::time::timeout(Duration::from_millis(20), watch.changed()).await;
        assert!(still.is_err(), "it was told of before");
        std::fs::remove_file(&file).unwrap();
        watch.changed().await;
    }
}
