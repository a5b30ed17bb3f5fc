//! What the simulated disk forgets, keeps and fails at.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronik_env::fs::{Disk, File, OpenMode, read_file, replace_file};
use chronik_env::sim_disk::{Call, Chances, Cut, Failure, History, Rule, SimDisk};

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn create(disk: &SimDisk, name: &str, contents: &[u8]) -> Arc<dyn File> {
    let file = disk.open(path(name), OpenMode::Create).unwrap();
    file.write_all_at(&[contents], 0).unwrap();
    file
}

fn contents(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    read_file(disk, path(name), u64::MAX).unwrap()
}

/// A disk with `/a` durable, holding `old`.
fn disk_with_a() -> SimDisk {
    let disk = SimDisk::new(7);
    create(&disk, "/a", b"old").sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk
}

#[test]
fn unsynced_contents_and_names_are_separate() {
    let disk = disk_with_a();
    create(&disk, "/a", b"new and longer");
    create(&disk, "/b", b"b").sync_data().unwrap();
    let named = disk_with_a();
    create(&named, "/b", b"b");
    named.sync_dir(path("/")).unwrap();

    assert_eq!(contents(&disk, "/a").unwrap(), b"new and longer", "seen while running");
    disk.crash(Cut::Nothing);
    assert_eq!(contents(&disk, "/a").unwrap(), b"old");
    assert_eq!(contents(&disk, "/b"), None, "synced without a name is gone");
    named.crash(Cut::Nothing);
    assert_eq!(contents(&named, "/b").unwrap(), b"", "named without a sync is empty");
}

#[test]
fn directories_need_their_parents() {
    let disk = SimDisk::new(7);
    disk.create_dir_all(path("/x/y")).unwrap();
    create(&disk, "/x/y/f", b"f").sync_data().unwrap();
    disk.sync_dir(path("/x/y")).unwrap();
    disk.sync_dir(path("/x")).unwrap();
    assert_eq!(disk.image(Cut::Nothing, 1).names(path("/")).unwrap(), Vec::<String>::new());
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(contents(&disk.image(Cut::Nothing, 1), "/x/y/f").unwrap(), b"f");

    disk.remove_dir_all(path("/x")).unwrap();
    assert_eq!(contents(&disk.image(Cut::Nothing, 1), "/x/y/f").unwrap(), b"f");
    disk.sync_dir(path("/")).unwrap();
    assert!(!disk.image(Cut::Nothing, 1).exists(path("/x")).unwrap());
    assert_eq!(disk.image(Cut::Process, 1).names(path("/")).unwrap(), Vec::<String>::new());
}

#[test]
fn a_dead_process_leaves_unsynced_changes_to_the_next() {
    let disk = disk_with_a();
    create(&disk, "/b", b"b");
    disk.crash(Cut::Process);
    assert_eq!(contents(&disk, "/b").unwrap(), b"b");
    let file = disk.open(path("/b"), OpenMode::ReadWrite).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk.crash(Cut::Nothing);
    assert_eq!(contents(&disk, "/b").unwrap(), b"b", "synced by the second process");
    assert_eq!(file.len().unwrap_err().kind(), ErrorKind::StaleNetworkFileHandle, "open files do not survive");
}

#[test]
fn renames_between_directories_are_one_change() {
    let disk = SimDisk::new(7);
    for dir in ["/p", "/q"] {
        disk.create_dir_all(path(dir)).unwrap();
    }
    create(&disk, "/p/f", b"f").sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk.sync_dir(path("/p")).unwrap();
    disk.rename(path("/p/f"), path("/q/g")).unwrap();
    for seed in 0..50 {
        let image = disk.image(Cut::Subset, seed);
        assert!(contents(&image, "/p/f").is_some() != contents(&image, "/q/g").is_some());
    }
    disk.sync_dir(path("/p")).unwrap();
    let image = disk.image(Cut::Nothing, 1);
    assert_eq!(contents(&image, "/q/g").unwrap(), b"f");
    assert_eq!(contents(&image, "/p/f"), None);
}

/// Every boundary of a replace-by-rename, many images each: `allowed` must hold for what the name stands for.
fn check_replacement(history: &History, mut allowed: impl FnMut(Option<Vec<u8>>) -> bool) -> usize {
    let mut replay = history.replay();
    let mut images = 0;
    loop {
        for (cut, image) in replay.images(3, 64) {
            let found = contents(&image, "/a");
            assert!(allowed(found.clone()), "boundary {} after {cut:?}: {found:?}", replay.boundary());
            images += 1;
        }
        if replay.step().is_none() {
            return images;
        }
    }
}

#[test]
fn replacing_a_file_leaves_the_old_one_or_the_new_one() {
    let disk = disk_with_a();
    disk.record();
    let new = vec![b'n'; 3000];
    replace_file(&disk, path("/a"), &new).unwrap();
    let images =
        check_replacement(&disk.history(), |found| found.as_deref() == Some(b"old") || found.as_ref() == Some(&new));
    assert!(images >= 12, "{images}");
    assert_eq!(contents(&disk.image(Cut::Nothing, 1), "/a").unwrap(), new, "durable at the end");
    assert!(disk.unsynced_renames().is_empty());
}

#[test]
fn replacing_a_file_without_syncing_it_is_found_out() {
    let disk = disk_with_a();
    disk.record();
    create(&disk, "/a.tmp", b"new");
    disk.rename(path("/a.tmp"), path("/a")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.unsynced_renames(), [path("/a")]);
    let mut found = BTreeSet::new();
    check_replacement(&disk.history(), |contents| {
        found.insert(contents);
        true
    });
    assert!(found.contains(&Some(Vec::new())), "an image with the name and no contents: {found:?}");

    disk.set_discard_suffix(".deleted");
    create(&disk, "/c", b"c");
    disk.rename(path("/c"), path("/c.deleted")).unwrap();
    assert_eq!(disk.unsynced_renames().len(), 1, "what is on its way out need not be synced");
}

/// All outcomes of two unsynced appends of 700 and 600 bytes to a durable file of 100 bytes.
fn outcomes() -> BTreeSet<Vec<u8>> {
    let disk = SimDisk::new(7);
    let file = create(&disk, "/a", &[b'0'; 100]);
    file.sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk.record();
    file.write_all_at(&[&[b'1'; 700]], 100).unwrap();
    file.write_all_at(&[&[b'2'; 600]], 800).unwrap();
    let history = disk.history();
    let mut replay = history.replay();
    while replay.step().is_some() {}
    assert_eq!(replay.pending(), 2);
    replay.images(11, 500).map(|(_, image)| contents(&image, "/a").unwrap()).collect()
}

#[test]
fn power_cuts_tear_lose_and_reorder_unsynced_writes() {
    let outcomes = outcomes();
    let has = |wanted: &[(u8, usize)]| {
        let wanted: Vec<u8> = wanted.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect();
        outcomes.contains(&wanted)
    };
    assert!(outcomes.iter().all(|found| found.starts_with(&[b'0'; 100])), "synced bytes are always there");
    assert!(has(&[(b'0', 100)]), "nothing");
    assert!(has(&[(b'0', 100), (b'1', 700), (b'2', 600)]), "everything");
    assert!(has(&[(b'0', 100), (b'1', 700)]), "a prefix");
    assert!(has(&[(b'0', 100), (b'1', 412)]), "torn at a sector of the file");
    assert!(has(&[(b'0', 100), (0, 700), (b'2', 600)]), "the second without the first");
    assert!(has(&[(b'0', 100), (b'1', 700), (0, 600)]), "a length without contents");
    assert_eq!(outcomes, self::outcomes(), "equal seeds, equal images");
}

#[test]
fn images_of_a_boundary_differ_and_run_out() {
    let disk = disk_with_a();
    disk.record();
    create(&disk, "/b", b"b");
    let history = disk.history();
    let mut replay = history.replay();
    assert_eq!(replay.images(1, 100).count(), 1, "all is synced");
    replay.step();
    assert_eq!(replay.images(1, 100).count(), 2, "the name or not");
    replay.step();
    // No name; or a name with the contents whole, absent or zero.
    assert_eq!(replay.images(1, 100).count(), 4);
    assert!(replay.step().is_none());
}

#[test]
fn a_failed_sync_of_a_file_loses_what_was_dirty() {
    let lost = (0..64).filter(|seed| {
        let disk = SimDisk::new(*seed);
        create(&disk, "/a", b"old").sync_data().unwrap();
        disk.sync_dir(path("/")).unwrap();
        disk.fail(Rule {
            call: Call::SyncData,
            path_contains: "a".to_owned(),
            after: 1,
            times: 1,
            failure: Failure::Eio,
        });
        let file = create(&disk, "/a", b"new");
        file.sync_data().unwrap();
        file.write_all_at(&[b"lost"], 3).unwrap();
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        file.sync_data().expect("the next one claims success");
        assert_eq!(contents(&disk, "/a").unwrap(), b"newlost", "still read back");
        disk.crash(Cut::Everything);
        let found = contents(&disk, "/a").unwrap();
        assert!(found == b"new" || found == b"newlost");
        found == b"new"
    });
    let lost = lost.count();
    assert!((1..64).contains(&lost), "some of it may have reached the disk: {lost}");
}

#[test]
fn a_lying_sync_is_none() {
    let disk = disk_with_a();
    disk.set_chances(Chances { lying_sync_ppm: 1_000_000, ..Chances::default() });
    replace_file(&disk, path("/a"), b"new").unwrap();
    assert_eq!(contents(&disk.image(Cut::Nothing, 1), "/a").unwrap(), b"old");
    disk.heal();
    disk.open(path("/a"), OpenMode::Read).unwrap().sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(contents(&disk.image(Cut::Nothing, 1), "/a").unwrap(), b"new");
}

#[test]
fn a_full_disk_takes_what_fits_and_recovers() {
    let disk = disk_with_a();
    disk.set_capacity(10);
    let file = disk.open(path("/b"), OpenMode::Create).unwrap();
    assert_eq!(file.write_all_at(&[b"12345", b"6789"], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(contents(&disk, "/b").unwrap(), b"1234567");
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 0);
    file.write_all_at(&[b"abc"], 0).expect("no more space is needed");
    assert_eq!(file.set_len(8).unwrap_err().kind(), ErrorKind::StorageFull);
    let open = disk.open(path("/a"), OpenMode::Read).unwrap();
    disk.remove_file(path("/a")).unwrap();
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 0, "an open file keeps its space");
    drop(open);
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 3);
    file.write_all_at(&[b"89"], 7).unwrap();
    file.set_len(1).unwrap();
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 9);
}

#[test]
fn rules_count_and_match() {
    let disk = disk_with_a();
    disk.fail(Rule { call: Call::Read, path_contains: "a".to_owned(), after: 1, times: 2, failure: Failure::Eio });
    disk.fail(Rule {
        call: Call::Write,
        path_contains: String::new(),
        after: 0,
        times: u64::MAX,
        failure: Failure::NoSpace,
    });
    let a = disk.open(path("/a"), OpenMode::ReadWrite).unwrap();
    let b = disk.open(path("/b"), OpenMode::Create).unwrap();
    let results: Vec<bool> = (0..5).map(|_| a.read_at(&mut [0; 3], 0).is_ok()).collect();
    assert_eq!(results, [true, false, false, true, true]);
    assert!(b.read_at(&mut [0; 3], 0).is_ok());
    for _ in 0..10 {
        assert_eq!(b.write_all_at(&[b"b"], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    }
    disk.heal();
    b.write_all_at(&[b"b"], 0).unwrap();
}

#[test]
fn a_rename_may_outlive_the_creation_it_followed() {
    let disk = disk_with_a();
    let file = create(&disk, "/b", b"b");
    disk.rename(path("/b"), path("/c")).unwrap();
    disk.record();
    let found: BTreeSet<_> =
        disk.history().replay().images(5, 100).map(|(_, image)| image.list(path("/")).unwrap().len()).collect();
    assert_eq!(found, BTreeSet::from([1, 2]), "one name or none, and always a file");
    file.sync_data().unwrap();
    for seed in 0..100 {
        let found = contents(&disk.image(Cut::Mixed, seed), "/c");
        assert!(found.is_none_or(|found| found == b"b"));
    }
}

#[test]
fn damage_is_found_after_a_crash_too() {
    let disk = disk_with_a();
    disk.damage(path("/a"), |contents| contents[1] ^= 4).unwrap();
    assert_eq!(contents(&disk, "/a").unwrap(), b"ohd");
    disk.crash(Cut::Nothing);
    assert_eq!(contents(&disk, "/a").unwrap(), b"ohd");
    disk.damage(path("/a"), |contents| contents.truncate(1)).unwrap();
    assert_eq!(disk.image(Cut::Nothing, 1).list(path("/")).unwrap()[0].len, 1);
    assert!(disk.damage(path("/"), |_| {}).is_err());
}

#[test]
fn a_history_begins_with_what_was_unsynced_before() {
    let disk = disk_with_a();
    let file = create(&disk, "/a", b"new");
    disk.record();
    file.sync_data().unwrap();
    let history = disk.history();
    let mut replay = history.replay();
    let found: BTreeSet<_> = replay.images(1, 50).map(|(_, image)| contents(&image, "/a").unwrap()).collect();
    assert!(found.contains(&b"old"[..]) && found.contains(&b"new"[..]), "{found:?}");
    replay.step();
    assert_eq!(contents(&replay.image(Cut::Nothing, 1), "/a").unwrap(), b"new");
    assert_eq!(disk.boundary(), 1);
}

#[test]
fn a_crash_frees_locks_and_never_takes_synced_files_with_it() {
    let disk = disk_with_a();
    let held = disk.lock(path("/.lock")).unwrap();
    assert!(disk.lock(path("/.lock")).unwrap().is_none());
    disk.crash(Cut::Nothing);
    let again = disk.lock(path("/.lock")).unwrap();
    assert!(again.is_some());
    drop(held);
    assert!(disk.lock(path("/.lock")).unwrap().is_none(), "a dead holder frees nothing");
    assert_eq!(contents(&disk, "/a").unwrap(), b"old");
}

#[test]
fn a_gate_holds_up_what_it_names_until_it_is_opened() {
    let disk = disk_with_a();
    let gate = disk.hold_up(Call::Write, "/a");
    std::thread::scope(|scope| {
        let held_up = scope.spawn(|| create(&disk, "/a", b"new"));
        let deadline = Instant::now() + Duration::from_secs(60);
        while gate.held_up() == 0 {
            assert!(Instant::now() < deadline, "the write is held up");
            std::thread::yield_now();
        }
        create(&disk, "/b", b"other");
        assert_eq!(contents(&disk, "/a").as_deref(), Some(&b"old"[..]));
        drop(gate);
        held_up.join().unwrap();
    });
    assert_eq!(contents(&disk, "/a").as_deref(), Some(&b"new"[..]));
}
