//! The log against crashes, damage and failing disks.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::type_config::TypeConfigExt;
use openraft::vote::RaftLeaderId;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::disk::HostDisk;
use crate::raft::{Command, LeaderId, Payload};

fn config(dir: &Path, disk: Arc<dyn Disk>) -> WalConfig {
    let metrics = Metrics::new(&prometheus::Registry::new()).expect("metrics");
    WalConfig {
        room: Room::open(disk.clone(), dir.to_owned(), 0, metrics.clone()),
        disk,
        dir: dir.to_owned(),
        member: 7,
        segment_bytes: 4096,
        cache_bytes: 1 << 20,
        long_bytes: u64::MAX,
        metrics,
        work: Work::Threads,
    }
}

fn open(dir: &Path) -> Result<Wal, OpenError> {
    Wal::open(config(dir, Arc::new(HostDisk)), None)
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId::new(term, 1), index)
}

fn entry(term: u64, index: u64, size: usize) -> Entry {
    let payload = Payload::Normal(Command(Bytes::from(vec![index as u8 + 1; size])));
    Entry { log_id: id(term, index), payload }
}

async fn append(wal: &mut Wal, entries: Vec<Entry>) -> io::Result<()> {
    let (sender, receiver) = Types::oneshot();
    RaftLogStorage::append(wal, entries, IOFlushed::signal(sender)).await?;
    receiver.await.expect("the callback comes")
}

async fn all(wal: &mut Wal) -> Vec<Entry> {
    wal.try_get_log_entries(0..u64::MAX).await.expect("readable")
}

/// A closed log of `count` entries in one segment, and its file.
async fn written(count: u64) -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().expect("a folder");
    let mut wal = open(dir.path()).expect("opens");
    for index in 0..count {
        append(&mut wal, vec![entry(1, index, 100)]).await.expect("written");
    }
    wal.close();
    let path = dir.path().join("0000000000000001.wal");
    (dir, path)
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart() {
    let dir = TempDir::new().expect("a folder");
    let vote = Vote::new_committed(3, 2);
    let mut wal = open(dir.path()).expect("opens");
    wal.save_vote(&vote).await.expect("saved");
    // Several segments.
    let entries: Vec<Entry> = (0..100).map(|index| entry(1, index, 200)).collect();
    for part in entries.chunks(7) {
        append(&mut wal, part.to_vec()).await.expect("written");
    }
    wal.save_committed(Some(id(1, 50))).await.expect("saved");
    assert_eq!(all(&mut wal).await, entries);
    wal.close();
    let mut wal = open(dir.path()).expect("opens again");
    assert_eq!(all(&mut wal).await, entries);
    assert_eq!(wal.read_vote().await.expect("a vote"), Some(vote));
    assert_eq!(wal.read_committed().await.expect("read"), Some(id(1, 50)));
    assert!(std::fs::read_dir(dir.path()).expect("a folder").count() > 3);
}

#[tokio::test]
async fn what_is_committed_is_written_with_the_next_entries() {
    let dir = TempDir::new().expect("a folder");
    let mut wal = open(dir.path()).expect("opens");
    append(&mut wal, vec![entry(1, 0, 10)]).await.expect("written");
    wal.save_committed(Some(id(1, 0))).await.expect("saved");
    append(&mut wal, vec![entry(1, 1, 10)]).await.expect("written");
    // As after a crash: the log is not closed.
    let copy = TempDir::new().expect("a folder");
    for file in std::fs::read_dir(dir.path()).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
    }
    let mut copied = open(copy.path()).expect("opens");
    assert_eq!(copied.read_committed().await.expect("read"), Some(id(1, 0)));
    assert_eq!(all(&mut copied).await.len(), 2);
}

/// The inodes of the segments.
fn inodes(dir: &Path) -> std::collections::BTreeSet<u64> {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(dir).expect("a folder").map(|file| file.expect("a file"));
    let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".wal"));
    segments.map(|file| file.metadata().expect("it is there").ino()).collect()
}

#[tokio::test]
async fn a_file_that_nobody_needs_is_used_again() {
    let dir = TempDir::new().expect("a folder");
    let mut wal = open(dir.path()).expect("opens");
    let entries: Vec<Entry> = (0..60).map(|index| entry(1, index, 200)).collect();
    append(&mut wal, entries).await.expect("written");
    let old = inodes(dir.path());
    // Held by somebody who reads it: left alone.
    let read = wal.index.lock().segments.values().next().and_then(|segment| segment.file.clone());
    let (mut reader, mut before) = (vec![0; 512], vec![0; 512]);
    read.as_ref().expect("made").read_at(&mut before, 0).expect("readable");
    wal.purge(id(1, 55)).await.expect("purged");
    let reused = async {
        for index in 60.. {
            append(&mut wal, vec![entry(1, index, 200)]).await.expect("written");
            let now = inodes(dir.path());
            let last = wal.index.lock().current;
            let path = dir.path().join(format!("{last:016}.wal"));
            let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("it is there"));
            if last > 5 && old.contains(&inode) && now.contains(&inode) && index > 100 {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), reused).await.expect("soon");
    read.expect("made").read_at(&mut reader, 0).expect("readable");
    assert_eq!(reader, before, "what somebody reads is not written");
    // As after a crash: the log is not closed, and the rest of the file is zeros.
    let copy = TempDir::new().expect("a folder");
    for file in std::fs::read_dir(dir.path()).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
    }
    let mut copied = open(copy.path()).expect("opens");
    assert_eq!(all(&mut copied).await, all(&mut wal).await);
    let names =
        std::fs::read_dir(copy.path()).expect("a folder").map(|file| file.expect("a file").file_name());
    assert_eq!(names.filter(|name| spares::is_spare(&name.to_string_lossy())).count(), 0);
}

#[tokio::test]
async fn entries_that_left_the_memory_are_read_from_the_disk() {
    let dir = TempDir::new().expect("a folder");
    let config = WalConfig { cache_bytes: 500, ..config(dir.path(), Arc::new(HostDisk)) };
    let mut wal = Wal::open(config, None).expect("opens");
    let entries: Vec<Entry> = (0..60).map(|index| entry(1, index, 200)).collect();
    for one in &entries {
        append(&mut wal, vec![one.clone()]).await.expect("written");
    }
    assert!(wal.index.lock().uncached > 40);
    assert_eq!(all(&mut wal).await, entries);
    assert_eq!(wal.try_get_log_entries(10..20).await.expect("readable"), entries[10..20]);
}

#[tokio::test]
async fn a_purged_log_begins_later_and_needs_less_room() {
    let dir = TempDir::new().expect("a folder");
    let mut wal = open(dir.path()).expect("opens");
    let entries: Vec<Entry> = (0..100).map(|index| entry(1, index, 200)).collect();
    append(&mut wal, entries.clone()).await.expect("written");
    let before = inodes(dir.path()).len();
    wal.purge(id(1, 79)).await.expect("purged");
    append(&mut wal, vec![entry(1, 100, 10)]).await.expect("written");
    wal.close();
    assert!(inodes(dir.path()).len() < before);
    let mut wal = open(dir.path()).expect("opens again");
    let state = wal.get_log_state().await.expect("a state");
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(1, 79)), Some(id(1, 100))));
    assert_eq!(all(&mut wal).await[..20], entries[80..]);
    // A snapshot from the leader is far ahead.
    wal.purge(id(2, 500)).await.expect("purged");
    append(&mut wal, vec![entry(2, 501, 10)]).await.expect("written");
    wal.close();
    let mut wal = open(dir.path()).expect("opens again");
    assert_eq!(all(&mut wal).await, vec![entry(2, 501, 10)]);
}

#[tokio::test]
async fn a_tail_that_was_cut_at_any_byte_is_removed() {
    let (dir, path) = written(4).await;
    let whole = std::fs::read(&path).expect("a file");
    let last = whole.len() - (HEADER_AND_BODY);
    for cut in last + 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("cut");
        let mut wal = open(dir.path()).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        assert_eq!(all(&mut wal).await.len(), 3, "cut at {cut}");
        append(&mut wal, vec![entry(2, 3, 10)]).await.expect("goes on");
        wal.close();
        let mut wal = open(dir.path()).expect("opens again");
        assert_eq!(all(&mut wal).await.last(), Some(&entry(2, 3, 10)));
        wal.close();
    }
}

/// Length of the last record that [`written`] writes.
const HEADER_AND_BODY: usize = record::HEADER + 1 + 3 + 1 + 1 + 100;

#[tokio::test]
async fn a_tail_of_zeros_is_a_write_that_a_power_cut_lost() {
    let (dir, path) = written(4).await;
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes.extend_from_slice(&[0; 3000]);
    std::fs::write(&path, &bytes).expect("written");
    let mut wal = open(dir.path()).expect("opens");
    assert_eq!(all(&mut wal).await.len(), 4);
}

#[tokio::test]
async fn zeros_ahead_of_the_log_are_its_end_after_a_crash() {
    let dir = TempDir::new().expect("a folder");
    let mut wal = open(dir.path()).expect("opens");
    // The zeros after the first are there before the second is acknowledged.
    append(&mut wal, (0..3).map(|index| entry(1, index, 100)).collect()).await.expect("written");
    append(&mut wal, vec![entry(1, 3, 100)]).await.expect("written");
    let path = dir.path().join("0000000000000001.wal");
    let crashed = std::fs::read(&path).expect("a file");
    wal.close();
    let closed = std::fs::read(&path).expect("a file");
    assert!(crashed.len() > closed.len() && crashed.starts_with(&closed));
    std::fs::write(&path, &crashed).expect("written");
    let mut wal = open(dir.path()).expect("opens after a crash");
    assert_eq!(all(&mut wal).await.len(), 4);
    append(&mut wal, vec![entry(2, 4, 10)]).await.expect("goes on");
    wal.close();
    let mut wal = open(dir.path()).expect("opens again");
    assert_eq!(all(&mut wal).await.len(), 5);
}

#[tokio::test]
async fn a_flipped_bit_is_found_wherever_it_is() {
    let (dir, path) = written(4).await;
    let whole = std::fs::read(&path).expect("a file");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).expect("written");
        match open(dir.path()) {
            Err(OpenError::Damaged { offset, .. }) => assert!(offset <= at as u64),
            Err(error) => panic!("bit of byte {at}: {error}"),
            Ok(_) => panic!("the flipped bit of byte {at} was not found"),
        }
    }
}

#[tokio::test]
async fn missing_and_foreign_files_are_named() {
    let dir = TempDir::new().expect("a folder");
    let mut wal = open(dir.path()).expect("opens");
    append(&mut wal, (0..100).map(|index| entry(1, index, 200)).collect()).await.expect("written");
    wal.close();
    let foreign = WalConfig { member: 8, ..config(dir.path(), Arc::new(HostDisk)) };
    assert!(matches!(Wal::open(foreign, None), Err(OpenError::ForeignFolder { found: 7, expected: 8, .. })));
    let missing = dir.path().join("0000000000000002.wal");
    let kept = std::fs::read(&missing).expect("a segment");
    std::fs::remove_file(&missing).expect("removed");
    let Err(OpenError::Damaged { path, .. }) = open(dir.path()) else { panic!("a segment is missing") };
    assert_eq!(path, missing);
    // Not the last one: a crash can not have cut it.
    std::fs::write(&missing, &kept[..kept.len() - 1]).expect("written");
    assert!(matches!(open(dir.path()), Err(OpenError::Damaged { path, .. }) if path == missing));
}

#[tokio::test]
async fn what_was_committed_can_not_be_missing() {
    let (dir, _) = written(4).await;
    let mut wal = open(dir.path()).expect("opens");
    wal.save_committed(Some(id(1, 9))).await.expect("saved");
    wal.close();
    assert!(matches!(open(dir.path()), Err(OpenError::Damaged { .. })));
    let config = config(dir.path(), Arc::new(HostDisk));
    Wal::open(config, Some(id(1, 9))).expect("the snapshot has it");
}

/// A disk whose syncs fail from some moment on.
#[derive(Default)]
struct Failing {
    fails: Arc<AtomicBool>,
}

struct FailingFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

impl Disk for Failing {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        HostDisk.list(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FailingFile(HostDisk.open(path)?, self.fails.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        HostDisk.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        HostDisk.lock(path)
    }
}

impl DiskFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_at(buffer, position)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(bytes, position)
    }
    fn sync(&self) -> io::Result<()> {
        if self.1.load(Ordering::SeqCst) { Err(io::Error::other("no more room")) } else { self.0.sync() }
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged() {
    let dir = TempDir::new().expect("a folder");
    let disk = Failing::default();
    let fails = disk.fails.clone();
    let mut wal = Wal::open(config(dir.path(), Arc::new(disk)), None).expect("opens");
    append(&mut wal, vec![entry(1, 0, 10)]).await.expect("written");
    fails.store(true, Ordering::SeqCst);
    append(&mut wal, vec![entry(1, 1, 10)]).await.expect_err("not synced");
    // The disk recovers, but what it holds is not known.
    fails.store(false, Ordering::SeqCst);
    append(&mut wal, vec![entry(1, 2, 10)]).await.expect_err("stopped");
    wal.save_vote(&Vote::new(9, 1)).await.expect_err("stopped");
    let fault = wal.fault().borrow().clone().expect("a reason");
    assert!(fault.contains("no more room") && fault.contains(".wal"), "{fault}");
}

/// What a killed process wrote but did not sync must be on the disk before anybody counts on it.
#[tokio::test]
async fn what_is_read_at_start_is_synced_before_it_counts() {
    let (dir, _) = written(3).await;
    let disk = Failing::default();
    disk.fails.store(true, Ordering::SeqCst);
    let opened = Wal::open(config(dir.path(), Arc::new(disk)), None);
    assert!(matches!(opened, Err(OpenError::Io { action: "sync", .. })));
}

#[derive(Debug, Clone)]
enum Step {
    Append { count: u64, size: usize },
    Truncate { back: u64 },
    Purge { ahead: u64 },
    Vote,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..5u64, 1..900usize).prop_map(|(count, size)| Step::Append { count, size }),
        1 => (1..6u64).prop_map(|back| Step::Truncate { back }),
        1 => (1..12u64).prop_map(|ahead| Step::Purge { ahead }),
        1 => Just(Step::Vote),
        2 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever happens to the log, it is what a plain list would be.
    #[test]
    fn the_log_is_a_list(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dir = TempDir::new().expect("a folder");
            let mut wal = open(dir.path()).expect("opens");
            let mut model: Vec<Entry> = Vec::new();
            let (mut first, mut term, mut vote) = (0, 1, None);
            for step in steps {
                let next = first + model.len() as u64;
                match step {
                    Step::Append { count, size } => {
                        let entries: Vec<Entry> = (next..next + count).map(|i| entry(term, i, size)).collect();
                        append(&mut wal, entries.clone()).await.expect("written");
                        model.extend(entries);
                    }
                    Step::Truncate { back } if back < model.len() as u64 => {
                        model.truncate(model.len() - back as usize);
                        let keep = model.last().map(|e| e.log_id);
                        wal.truncate_after(keep).await.expect("truncated");
                        term += 1;
                    }
                    Step::Purge { ahead } if ahead < model.len() as u64 => {
                        let upto = model[ahead as usize - 1].log_id;
                        wal.purge(upto).await.expect("purged");
                        model.drain(..ahead as usize);
                        first = upto.index + 1;
                    }
                    Step::Truncate { .. } | Step::Purge { .. } => {}
                    Step::Vote => {
                        let new = Vote::new(term, 1);
                        wal.save_vote(&new).await.expect("saved");
                        vote = Some(new);
                    }
                    Step::Reopen => {
                        wal.close();
                        wal = open(dir.path()).expect("opens again");
                    }
                }
                prop_assert_eq!(&all(&mut wal).await, &model);
                prop_assert_eq!(wal.read_vote().await.expect("a vote"), vote);
            }
            Ok(())
        })?;
    }
}
