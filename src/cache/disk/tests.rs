//! The store on disk across restarts, crashes and damage.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::freshness::Exchange;
use spillgate_actors::core::cache::rules::Rules;
use spillgate_actors::core::cache::storing::{Answered, judge};
use tempfile::TempDir;

use super::*;
use crate::cache::page::{Bounds, Lines, Stored};

const OPTIONS: DiskOptions = DiskOptions { bytes_max: 8 << 20, hot_bytes_max: 1 << 20 };
/// What the file takes beside its rows.
const OWN_BYTES: u64 = 100 << 10;
const CHILD: &str = "SPILLGATE_CACHE_DISK_CHILD";

fn key(number: u64) -> Key {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

/// A body that its seed alone makes.
fn body(seed: u64) -> Bytes {
    let length = usize::try_from(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48).unwrap();
    let mut body = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut body);
    body.into()
}

fn stored(seed: u64) -> Stored {
    let mut headers = HeaderMap::new();
    let said = "max-age=60, no-cache=\"x-live\", stale-if-error=9";
    headers.insert("cache-control", HeaderValue::from_static(said));
    headers.append("link", HeaderValue::from_static("<a>"));
    headers.append("link", HeaderValue::from_bytes(b"<\xFF>").unwrap());
    headers.insert("vary", HeaderValue::from_static("accept"));
    let at = Wall::from_secs(1_795_348_800);
    let exchange = Exchange { requested: at, received: at };
    let (request, response) = (&[("accept", "a")][..], &Lines(&headers));
    let answered =
        Answered { method: "GET", request, status: 200, response, of_target: false, exchange };
    let entry = judge(&Rules::default(), &answered).unwrap();
    let selection = seed.to_le_bytes().to_vec();
    Stored { entry, headers, body: body(seed), selection, owner: Some([7; 32]), began: seed }
}

fn page(seed: u64) -> Page {
    let bounds = Bounds { variants_max: 3, bytes_max: 1 << 20 };
    let page = Page::new(format!("http://a.example/{seed}"));
    page.put(&Arc::new(stored(seed)), &bounds).put(&Arc::new(stored(seed + 1)), &bounds)
}

fn put(store: &DiskStore, number: u64, seed: u64) {
    store.update(key(number), &mut |_| Keep::Page(page(seed)));
}

/// Reads all there is and says how much that was; every body is the one of its seed.
fn check_all(store: &DiskStore) -> usize {
    let mut count = 0;
    store.visit(&mut |page| {
        for stored in &page.variants {
            let seed = u64::from_le_bytes(stored.selection.clone().try_into().unwrap());
            assert_eq!(stored.body, body(seed), "of {seed}");
            count += 1;
        }
        Keep::AsIs
    });
    count
}

fn file_bytes(directory: &TempDir) -> u64 {
    std::fs::metadata(directory.path().join("cache")).unwrap().len()
}

fn open(directory: &TempDir) -> DiskStore {
    DiskStore::open(&directory.path().join("cache"), OPTIONS).unwrap()
}

#[test]
fn what_is_written_is_read_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let secret = store.secret();
    put(&store, 1, 10);
    put(&store, 2, 20);
    store.remove(&key(2));
    drop(store);
    let store = open(&directory);
    assert_eq!((store.len(), store.secret()), (1, secret));
    assert!(store.get(&key(2)).is_none());
    let (found, wrote) = (store.get(&key(1)).unwrap(), page(10));
    assert_eq!((&found.url, found.variants.len()), (&wrote.url, 2));
    for (found, wrote) in found.variants.iter().zip(&wrote.variants) {
        assert_eq!((&found.entry, &found.headers), (&wrote.entry, &wrote.headers));
        assert_eq!((&found.body, &found.selection), (&wrote.body, &wrote.selection));
        assert_eq!(found.owner, wrote.owner);
        // A new count has begun, of which all that comes is younger.
        assert_eq!(found.began, 0);
    }
    put(&store, 3, 30);
    store.flush();
    store.hot.remove(&key(3));
    assert_eq!(store.get(&key(3)).unwrap().variants.first().unwrap().began, 31);
}

#[test]
fn bound_holds_and_the_least_lately_used_go() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    for number in 0..400 {
        put(&store, number, number * 10);
        assert!(store.get(&key(0)).is_some(), "{number}");
        assert!(store.bytes() <= OPTIONS.bytes_max);
    }
    store.flush();
    assert!(store.get(&key(1)).is_none() && store.get(&key(399)).is_some());
    let bytes = file_bytes(&directory);
    assert!(bytes <= OPTIONS.bytes_max + OWN_BYTES, "{bytes}");
    let count = store.len();
    assert!(count > 10 && count < 400, "{count}");
    drop(store);
    assert_eq!(open(&directory).len(), count);
}

#[test]
fn bound_holds_for_many_small_pages() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let small = |number: u64| {
        let mut stored = stored(number);
        stored.body = Bytes::from(vec![7; usize::try_from(number % 3_000).unwrap()]);
        let bounds = Bounds { variants_max: 1, bytes_max: 1 << 20 };
        Page::new(format!("http://a.example/{number}")).put(&Arc::new(stored), &bounds)
    };
    for number in 0..6_000 {
        store.update(key(number), &mut |_| Keep::Page(small(number)));
    }
    store.flush();
    let (bytes, count) = (file_bytes(&directory), store.len());
    assert!(bytes <= OPTIONS.bytes_max + OWN_BYTES, "{bytes}");
    assert!(count > 500 && count < 6_000, "{count}");
}

#[test]
fn damaged_rows_are_no_pages() {
    let row = rows::write(&page(10), 1);
    assert!(rows::read(&row, 1).is_some());
    for at in [0, 31, 32, 40, row.len() / 2, row.len() - 1] {
        let mut damaged = row.clone();
        damaged[at] ^= 1;
        assert!(rows::read(&damaged, 1).is_none(), "{at}");
        assert!(rows::read(&row[..at], 1).is_none(), "{at}");
    }
}

#[test]
fn damaged_store_is_begun_anew_and_one_that_is_open_is_refused() {
    for head in [&b"redb"[..], &[0; 4]] {
        let directory = TempDir::new().unwrap();
        let damaged = [head, &[7_u8; 10_000]].concat();
        std::fs::write(directory.path().join("cache"), damaged).unwrap();
        let store = open(&directory);
        put(&store, 1, 10);
        store.flush();
        let again = DiskStore::open(&directory.path().join("cache"), OPTIONS);
        let error = again.err().unwrap();
        assert!(error.to_string().contains("in use"), "{error}");
        assert!(store.get(&key(1)).is_some());
    }
}

#[test]
fn file_that_is_no_store_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cache");
    std::fs::write(&path, "somebody's diary").unwrap();
    let error = DiskStore::open(&path, OPTIONS).err().unwrap();
    assert!(error.to_string().contains("no store"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's diary");
}

#[cfg(unix)]
#[test]
fn file_and_directory_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new().unwrap();
    let (inner, path) = (directory.path().join("a/b"), directory.path().join("a/b/cache"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    drop(DiskStore::open(&path, OPTIONS).unwrap());
    assert_eq!((mode(&path), mode(&inner)), (0o600, 0o700));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(DiskStore::open(&path, OPTIONS).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn less_room_lets_what_is_beyond_it_go_and_more_takes_more() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    (0..100).for_each(|number| put(&store, number, number * 10));
    let full = store.bytes();
    store.resize(1 << 20);
    assert!(store.bytes() < full / 2 && store.bytes() <= 1 << 20, "{}", store.bytes());
    store.resize(OPTIONS.bytes_max);
    (0..100).for_each(|number| put(&store, number, number * 10));
    assert_eq!(store.bytes(), full);
}

/// Writes for ever, if it is told where; each line on its output says that more is on disk.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = DiskStore::open(Path::new(&path), OPTIONS).unwrap();
    let first = store.desk.table.read(&key(0)).map_or(0, |page| page.variants.len() as u64);
    for number in first.. {
        put(&store, number % 200, number);
        if number % 10 == 9 {
            store.flush();
            writeln!(std::io::stderr(), "flushed").unwrap();
        }
    }
}

/// `SPILLGATE_KILLS` says how often; a few times otherwise.
#[test]
fn killed_writer_leaves_a_store_that_opens_and_lies_about_nothing() {
    let kills = std::env::var("SPILLGATE_KILLS").ok().and_then(|kills| kills.parse().ok());
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cache");
    let (mut seen, mut largest) = (0, 0);
    for kill in 0..kills.unwrap_or(4) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cache::disk::tests::child_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = lines.map_while(Result::ok).filter(|line| line.contains("flushed"));
        let flushes = 1 + kill * 7 % 13;
        assert_eq!(lines.take(flushes).count(), flushes, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(&directory);
        seen = check_all(&store);
        assert!(seen > 0 && store.bytes() <= OPTIONS.bytes_max);
        largest = largest.max(file_bytes(&directory));
        assert!(largest <= OPTIONS.bytes_max + OWN_BYTES, "{largest} bytes after {kill} kills");
    }
    writeln!(std::io::stderr(), "{seen} answers at last, {largest} bytes at most").unwrap();
}
