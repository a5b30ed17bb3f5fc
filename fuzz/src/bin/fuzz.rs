//! libFuzzer on one target. `cargo xtask fuzz` builds and runs it; the arguments are libFuzzer's.
//!
//! `CHRONIK_FUZZ_TARGET` names the target; into the directory `CHRONIK_FUZZ_SEEDS`, when set, its seeds are written first.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use chronik_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("CHRONIK_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        let target = found.unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("CHRONIK_FUZZ_TARGET must be one of {}", names.join(", "));
            std::process::exit(2)
        });
        if let Some(dir) = std::env::var_os("CHRONIK_FUZZ_SEEDS")
            && let Err(error) = write_seeds(target, Path::new(&dir))
        {
            eprintln!("cannot write the seeds: {error}");
            std::process::exit(2);
        }
        target
    })
}

fn write_seeds(target: &Target, dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let seeds = (target.seeds)();
    seeds.iter().enumerate().try_for_each(|(n, seed)| std::fs::write(dir.join(format!("seed-{n:04}")), seed))
}

fuzz_target!(
    init: { target(); },
    |input: &[u8]| (target().run)(input)
);
