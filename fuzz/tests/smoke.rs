//! Every target on its seeds and on seeded mutations of them, without instrumentation.
//!
//! `CHRONIK_FUZZ_EXECUTIONS` sets the executions per target (20,000), `CHRONIK_FUZZ_SEED` the first seed (0). A failure prints its input in
//! hexadecimal; an abort cannot, so a run with `CHRONIK_FUZZ_TRACE` set prints each input before it is tried.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use chronik_fuzz::mutate::{Dice, mutate};
use chronik_fuzz::{TARGETS, Target};

/// How long one input may take: far more than any needs on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The memory budget counts the whole process, so targets take turns.
static TURN: Mutex<()> = Mutex::new(());

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Ends the process, naming the input, when the same input is still running after [`LIMIT`].
#[derive(Default)]
struct Watch {
    state: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Default)]
struct Watched {
    input: Vec<u8>,
    executions: u64,
    done: bool,
}

impl Watch {
    fn trying(&self, input: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.input.clear();
        state.input.extend_from_slice(input);
        state.executions += 1;
    }

    fn finish(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).done = true;
        self.changed.notify_all();
    }

    fn run(&self, name: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.done {
            let before = state.executions;
            let (now, waited) = self.changed.wait_timeout(state, LIMIT).unwrap_or_else(PoisonError::into_inner);
            state = now;
            if waited.timed_out() && state.executions == before && !state.done {
                eprintln!("{name}: still at it after {LIMIT:?}: {}", hex(&state.input));
                std::process::abort();
            }
        }
    }
}

/// Prints the input when the target panics, and lets the watch end in any case.
struct Running<'a>(&'a Watch, &'static str);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("{}: execution {} fails: {}", self.1, state.executions, hex(&state.input));
        }
        self.0.finish();
    }
}

fn smoke(target: &'static Target) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (executions, seed) = (number("CHRONIK_FUZZ_EXECUTIONS", 20_000), number("CHRONIK_FUZZ_SEED", 0));
    let trace = std::env::var_os("CHRONIK_FUZZ_TRACE").is_some();
    let watch = Arc::new(Watch::default());
    let watching = {
        let watch = Arc::clone(&watch);
        std::thread::spawn(move || watch.run(target.name))
    };
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    {
        let _running = Running(&watch, target.name);
        let mut dice = Dice::new(seed);
        let mutations = std::iter::from_fn(|| Some(mutate(&mut dice, &seeds)));
        for input in seeds.iter().cloned().chain(mutations).take(executions as usize) {
            if trace {
                // Past the test harness, which keeps what is printed until the test ends.
                writeln!(std::io::stderr(), "{}: {}", target.name, hex(&input)).expect("standard error is open");
            }
            watch.trying(&input);
            (target.run)(&input);
        }
    }
    watching.join().expect("the watch does not panic");
}

macro_rules! smoke_tests {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name));
            smoke(target.expect("the macro's names are those of the table"));
        })*
    };
}

smoke_tests! { frame request response records storage metadata metadata_log config }

#[test]
fn every_target_has_its_test() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, NAMES);
}
