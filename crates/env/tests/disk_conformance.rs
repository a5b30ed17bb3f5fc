//! What every [`Disk`] does, run on each.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::fs::{DirEntry, Disk, OpenMode, read_exact_at, read_file, replace_file};
use chronik_env::real::RealDisk;
use chronik_env::sim_disk::SimDisk;

/// A new directory of the real file system, removed at the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chronik-env-{name}-{}", std::process::id()));
        // Left over by a process of the same number that was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a check on the real disk and on the simulated one, each with an empty directory of its own.
fn on_each(name: &str, check: impl Fn(&dyn Disk, &Path)) {
    let dir = TempDir::new(name);
    check(&RealDisk, &dir.0);
    let sim = SimDisk::new(1);
    sim.create_dir_all(Path::new("/data")).unwrap();
    check(&sim, Path::new("/data"));
}

fn error<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("the call must fail").kind()
}

#[test]
fn files_are_opened_by_mode() {
    on_each("modes", |disk, dir| {
        let path = dir.join("a");
        assert_eq!(error(disk.open(&path, OpenMode::Read)), ErrorKind::NotFound);
        assert_eq!(error(disk.open(&path, OpenMode::ReadWrite)), ErrorKind::NotFound);
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_all_at(&[b"abc"], 0).unwrap();
        assert_eq!(error(disk.open(&path, OpenMode::CreateNew)), ErrorKind::AlreadyExists);
        assert_eq!(disk.open(&path, OpenMode::Create).unwrap().len().unwrap(), 3, "kept, not emptied");
        assert!(disk.open(&path, OpenMode::Read).unwrap().write_all_at(&[b"x"], 0).is_err());
        assert_eq!(error(disk.open(&dir.join("none/a"), OpenMode::Create)), ErrorKind::NotFound);
        assert_eq!(error(disk.open(&path.join("b"), OpenMode::Create)), ErrorKind::NotADirectory);
    });
}

#[test]
fn writes_land_where_they_should() {
    on_each("writes", |disk, dir| {
        let file = disk.open(&dir.join("a"), OpenMode::Create).unwrap();
        file.write_all_at(&[b"", b"hello", b"", b" ", b"world"], 3).unwrap();
        file.write_all_at(&[], 100).unwrap();
        file.write_all_at(&[b"", b""], 100).unwrap();
        let mut buf = [9; 20];
        assert_eq!(file.read_at(&mut buf, 0).unwrap(), 14);
        assert_eq!(&buf[..14], b"\0\0\0hello world");
        assert_eq!(file.read_at(&mut buf, 14).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
        assert_eq!(error(read_exact_at(&*file, &mut buf, 0)), ErrorKind::UnexpectedEof);
        file.set_len(5).unwrap();
        file.set_len(7).unwrap();
        file.sync_data().unwrap();
        assert_eq!(read_file(disk, &dir.join("a"), 7).unwrap().unwrap(), b"\0\0\0he\0\0");
        assert_eq!(error(read_file(disk, &dir.join("a"), 6)), ErrorKind::FileTooLarge);
        assert_eq!(read_file(disk, &dir.join("b"), 6).unwrap(), None);
    });
}

#[test]
fn a_write_of_many_parts_is_whole() {
    on_each("parts", |disk, dir| {
        for count in [31, 32, 33, 1024, 1025, 5000] {
            let parts: Vec<Vec<u8>> = (0..count).map(|n: usize| vec![n as u8; n % 37]).collect();
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let path = dir.join(format!("parts-{count}"));
            disk.open(&path, OpenMode::Create).unwrap().write_all_at(&slices, 10).unwrap();
            let read = read_file(disk, &path, u64::MAX).unwrap().unwrap();
            assert!(read[10..] == parts.concat(), "{count} parts");
        }
    });
}

#[test]
fn directories_are_listed_in_order() {
    on_each("list", |disk, dir| {
        disk.create_dir_all(&dir.join("d/e")).unwrap();
        disk.create_dir_all(&dir.join("d/e")).unwrap();
        for name in ["b", "a", "c"] {
            disk.open(&dir.join("d").join(name), OpenMode::Create)
                .unwrap()
                .write_all_at(&[name.as_bytes()], 1)
                .unwrap();
        }
        let file = |name: &str| DirEntry { name: name.to_owned(), is_dir: false, len: 2 };
        let sub = DirEntry { name: "e".to_owned(), is_dir: true, len: 0 };
        assert_eq!(disk.list(&dir.join("d")).unwrap(), [file("a"), file("b"), file("c"), sub]);
        assert_eq!(disk.names(&dir.join("d")).unwrap(), ["a", "b", "c", "e"]);
        assert_eq!(error(disk.list(&dir.join("x"))), ErrorKind::NotFound);
        assert_eq!(error(disk.names(&dir.join("d/a"))), ErrorKind::NotADirectory);
        assert_eq!(error(disk.create_dir_all(&dir.join("d/a"))), ErrorKind::AlreadyExists);
        disk.sync_dir(&dir.join("d")).unwrap();
        assert_eq!(error(disk.sync_dir(&dir.join("x"))), ErrorKind::NotFound);
        disk.remove_dir_all(&dir.join("d")).unwrap();
        assert!(!disk.exists(&dir.join("d/a")).unwrap());
        assert_eq!(error(disk.remove_dir_all(&dir.join("d"))), ErrorKind::NotFound);
    });
}

#[test]
fn renames_replace() {
    on_each("rename", |disk, dir| {
        let path = |name: &str| dir.join(name);
        for name in ["a", "b"] {
            disk.open(&path(name), OpenMode::Create).unwrap().write_all_at(&[name.as_bytes()], 0).unwrap();
        }
        let replaced = disk.open(&path("b"), OpenMode::Read).unwrap();
        disk.rename(&path("a"), &path("b")).unwrap();
        assert_eq!(disk.names(dir).unwrap(), ["b"]);
        assert_eq!(read_file(disk, &path("b"), 9).unwrap().unwrap(), b"a");
        let mut buf = [0; 1];
        assert_eq!(replaced.read_at(&mut buf, 0).unwrap(), 1, "an open file outlives its name");
        assert_eq!(&buf, b"b");
        disk.rename(&path("b"), &path("b")).unwrap();
        assert_eq!(error(disk.rename(&path("a"), &path("c"))), ErrorKind::NotFound);

        disk.create_dir_all(&path("d/x")).unwrap();
        disk.create_dir_all(&path("e")).unwrap();
        assert_eq!(error(disk.rename(&path("b"), &path("e"))), ErrorKind::IsADirectory);
        assert_eq!(error(disk.rename(&path("e"), &path("b"))), ErrorKind::NotADirectory);
        assert_eq!(error(disk.rename(&path("e"), &path("d"))), ErrorKind::DirectoryNotEmpty);
        assert_eq!(error(disk.rename(&path("d"), &path("d/x/y"))), ErrorKind::InvalidInput);
        disk.rename(&path("d"), &path("e")).unwrap();
        assert!(disk.exists(&path("e/x")).unwrap());
        disk.rename(&path("b"), &path("e/x/b")).unwrap();
        assert_eq!(disk.names(dir).unwrap(), ["e"]);
        assert_eq!(error(disk.remove_file(&path("b"))), ErrorKind::NotFound);
        disk.remove_file(&path("e/x/b")).unwrap();
    });
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    on_each("replace", |disk, dir| {
        let path = dir.join("checkpoint");
        for contents in [&b"a longer first one"[..], b"second"] {
            replace_file(disk, &path, contents).unwrap();
            assert_eq!(read_file(disk, &path, 100).unwrap().unwrap(), contents);
        }
        assert_eq!(disk.names(dir).unwrap(), ["checkpoint"]);
    });
}

#[test]
fn a_lock_has_one_holder() {
    on_each("lock", |disk, dir| {
        let path = dir.join(".lock");
        let held = disk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(disk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(disk.lock(&path).unwrap().is_some());
        assert!(disk.exists(&path).unwrap());
    });
}

#[test]
fn space_is_told() {
    on_each("space", |disk, dir| {
        let space = disk.space(dir).unwrap();
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert_eq!(error(disk.space(&dir.join("none"))), ErrorKind::NotFound);
    });
}

#[test]
fn files_are_shared_by_threads() {
    on_each("threads", |disk, dir| {
        let path = dir.join("a");
        let file = disk.open(&path, OpenMode::Create).unwrap();
        std::thread::scope(|scope| {
            for n in 0..4u8 {
                let file = Arc::clone(&file);
                scope.spawn(move || {
                    (0..100).for_each(|i| file.write_all_at(&[&[n], &[n]], (i * 4 + u64::from(n)) * 2).unwrap())
                });
            }
        });
        let expected: Vec<u8> = (0..100).flat_map(|_| [0, 0, 1, 1, 2, 2, 3, 3]).collect();
        assert!(read_file(disk, &path, u64::MAX).unwrap().unwrap() == expected);
    });
}
