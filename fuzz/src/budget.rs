//! A limit on the memory that one input may make the process hold.
//!
//! Counts what goes through Rust's allocator; zstd's own C allocations are bounded by libFuzzer's limit on resident memory instead.

use std::alloc::System;
use std::sync::Once;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Takes the limit away again, also while a panic unwinds.
struct Unlimited;

impl Drop for Unlimited {
    fn drop(&mut self) {
        lift();
    }
}

fn lift() {
    ALLOCATOR.set_limit(usize::MAX).expect("no process holds as much as the address space");
}

/// A panic is reported without a limit: the report with its backtrace takes memory of its own.
fn lift_before_reports() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            lift();
            report(panic);
        }));
    });
}

/// Runs `work` with at most `bytes` more live at any time than now. Past that an allocation fails and the process aborts with
/// `memory allocation of N bytes failed`, which the engine records as a crash of the input.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    lift_before_reports();
    let limit = ALLOCATOR.allocated().saturating_add(bytes);
    let _lifted_at_the_end = Unlimited;
    // Refused only when another thread allocated the difference since; then this input goes unlimited.
    let _ = ALLOCATOR.set_limit(limit);
    work()
}

/// `fixed` bytes and `per_byte` more for each of `input` bytes.
pub fn proportional<T>(input: usize, per_byte: usize, fixed: usize, work: impl FnOnce() -> T) -> T {
    within(fixed + per_byte * input, work)
}

/// Bytes live now.
pub fn live() -> usize {
    ALLOCATOR.allocated()
}
