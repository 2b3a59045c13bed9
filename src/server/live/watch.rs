//! Says when one of some files may have changed. Knows nothing of what is in them.
//!
//! Folders are watched, not files: editors put a new file in the place of the old one, and
//! Kubernetes swaps a symbolic link to a folder. Whatever happens there, the content decides. A file in a
//! folder where something happens all the time is looked at instead.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify_debouncer_full::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::Notify;

use crate::encode::Fingerprint;

/// What is written within this time is one edit.
const TOGETHER: Duration = Duration::from_millis(150);
/// A file that changes for longer is taken as it is.
const MOST_LOOKS: usize = 10;
/// Symbolic links that lead to a file; more are a circle.
const MOST_LINKS: usize = 40;

/// How often a file is looked at that is not watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files besides those that are read first.
pub(super) struct Beside<'a> {
    pub files: &'a [PathBuf],
    /// One beside a database, whose folder changes with every write.
    pub looked_at: Option<&'a Path>,
}

/// Files with what was in them, and the folders that are watched for their sake.
pub(super) struct Watched {
    seen: BTreeMap<PathBuf, Content>,
    folders: BTreeSet<PathBuf>,
    looked_at: Option<(PathBuf, Stamp)>,
    changed: Arc<Notify>,
    debouncer: Option<Debouncer<RecommendedWatcher, RecommendedCache>>,
}

/// When a file was changed, its length and its number; `None` where it is not there.
type Stamp = Option<(SystemTime, u64, u64)>;
/// `None` where it cannot be read.
type Content = Option<Fingerprint>;

impl Watched {
    /// Watches these files from now on. Where that cannot be had, it is said, and nothing changes.
    pub fn new(files: &[PathBuf], beside: &Beside<'_>) -> Self {
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        let on_events = move |events: DebounceEventResult| match events {
            // Reading the files is an event, too.
            Ok(events) if events.iter().all(|event| event.kind.is_access()) => {}
            _ => notify.notify_one(),
        };
        let mut debouncer = None;
        if !files.is_empty() {
            match new_debouncer(TOGETHER, None, on_events) {
                Ok(made) => debouncer = Some(made),
                Err(error) => cannot_watch("the configuration", &error),
            }
        }
        let (seen, folders) = (BTreeMap::new(), BTreeSet::new());
        let mut watched = Self { seen, folders, looked_at: None, changed, debouncer };
        watched.follow(files, beside);
        watched
    }

    /// Resolves when one of them may have changed.
    pub async fn changed(&self) {
        tokio::select! {
            () = self.changed.notified() => {}
            () = self.looks_different() => {}
        }
    }

    async fn looks_different(&self) {
        let Some((file, stamp)) = &self.looked_at else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if stamp_of(file) != *stamp {
                return;
            }
        }
    }

    /// Whether their content is, or was for a moment, another than when this was last asked. One that is being written is
    /// waited for: half a file may be a valid one.
    pub async fn differs(&mut self) -> bool {
        let mut differs = false;
        for _ in 0..MOST_LOOKS {
            if !self.look().await {
                break;
            }
            differs = true;
            tokio::time::sleep(TOGETHER).await;
        }
        differs
    }

    /// The same, as it is now. To be asked before they are read: what comes later is another edit.
    pub async fn look(&mut self) -> bool {
        if let Some((file, stamp)) = &mut self.looked_at {
            *stamp = stamp_of(file);
        }
        let now = self.read().await;
        let differs = now != self.seen;
        self.seen = now;
        differs
    }

    async fn read(&self) -> BTreeMap<PathBuf, Content> {
        let files: Vec<PathBuf> = self.seen.keys().cloned().collect();
        let read = move || files.into_iter().map(|file| (file.clone(), content(&file))).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    /// Watches these files from now on, wherever their links lead by now.
    pub fn follow(&mut self, files: &[PathBuf], beside: &Beside<'_>) {
        let mut all: BTreeSet<&Path> =
            files.iter().chain(beside.files).map(PathBuf::as_path).collect();
        let folders: BTreeSet<PathBuf> = all.iter().flat_map(|file| folders_of(file)).collect();
        if let Some(debouncer) = &mut self.debouncer {
            for folder in self.folders.difference(&folders) {
                // It may be gone, and its watch with it.
                let _ = debouncer.unwatch(folder);
            }
            for folder in folders.difference(&self.folders) {
                if let Err(error) = debouncer.watch(folder, RecursiveMode::NonRecursive) {
                    cannot_watch(&folder.display().to_string(), &error);
                }
            }
        }
        self.folders = folders;
        if self.looked_at.as_ref().map(|(file, _)| file.as_path()) != beside.looked_at {
            self.looked_at = beside.looked_at.map(|file| (file.to_owned(), stamp_of(file)));
        }
        all.extend(beside.looked_at);
        self.seen.retain(|file, _| all.contains(file.as_path()));
        for file in all {
            self.seen.entry(file.to_owned()).or_insert_with(|| content(file));
        }
    }
}

fn cannot_watch(what: &str, error: &dyn std::error::Error) {
    tracing::warn!("{what} cannot be watched, so an edit takes effect at SIGHUP only: {error}");
}

fn stamp_of(file: &Path) -> Stamp {
    let found = std::fs::metadata(file).ok()?;
    Some((found.modified().ok()?, found.len(), found.ino()))
}

fn content(file: &Path) -> Content {
    std::fs::read(file).ok().map(|text| Fingerprint::of(&text))
}

/// The folders in which something happens when another content comes to stand at `file`: its own,
/// and that of each link on the way to it.
fn folders_of(file: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    for _ in 0..MOST_LINKS {
        let Some(folder) = file.parent().map(Path::to_owned) else { break };
        for ancestor in folder.ancestors() {
            if ancestor.is_symlink() {
                folders.extend(ancestor.parent().map(Path::to_owned));
            }
        }
        let target = std::fs::read_link(&file);
        folders.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        match target {
            Ok(target) => file = folder.join(target),
            Err(_) => break,
        }
    }
    folders
}
