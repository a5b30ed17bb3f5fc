//! The ways a machine can stop, and which of the unsynced changes each leaves behind.

use super::dice::Dice;
use super::op::Op;
use super::tree::Keep;

/// The least a disk writes as one, in bytes.
pub const SECTOR: u64 = 512;
/// What a file system writes as one, in bytes.
pub const PAGE: u64 = 4096;

/// A way to stop. All but [`Cut::Process`] are power cuts: synced changes survive, and of the unsynced ones those named
/// here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Only the process ends: all it did is visible to the next one, and what was unsynced still is.
    Process,
    /// No unsynced change.
    Nothing,
    /// Every unsynced change.
    Everything,
    /// Changes of directories, but no contents: new files are there and empty.
    Entries,
    /// Contents, but no changes of directories.
    Contents,
    /// The oldest ones, up to a random point.
    Prefix,
    /// The oldest ones up to a random point, and a part of the next write, torn at multiples of the unit (bytes) in the
    /// file.
    Torn { unit: u64 },
    /// The newest ones, from a random point: the disk wrote in another order than it was asked.
    Suffix,
    /// A random choice.
    Subset,
    /// The oldest ones up to a random point; later writes have only made files longer, by zeros.
    Zeros,
    /// A random choice with each write kept, lost, torn or zero.
    Mixed,
}

impl Cut {
    /// All power cuts, without the mixture of them.
    pub const POWER: [Cut; 10] = [
        Cut::Nothing,
        Cut::Everything,
        Cut::Entries,
        Cut::Contents,
        Cut::Torn { unit: SECTOR },
        Cut::Subset,
        Cut::Prefix,
        Cut::Suffix,
        Cut::Torn { unit: PAGE },
        Cut::Zeros,
    ];

    /// What is kept of each unsynced change. Equal seeds choose equally.
    pub(super) fn choose(self, pending: &[Op], seed: u64) -> Vec<Keep> {
        let mut dice = Dice::new(seed);
        let point = dice.below(pending.len() as u64 + 1) as usize;
        let either = |yes: bool| if yes { Keep::Everything } else { Keep::Nothing };
        let choice = |(index, op): (usize, &Op)| match self {
            Cut::Nothing => Keep::Nothing,
            Cut::Everything | Cut::Process => Keep::Everything,
            Cut::Entries => either(op.is_entry()),
            Cut::Contents => either(op.is_data()),
            Cut::Prefix => either(index < point),
            Cut::Suffix => either(index >= point),
            Cut::Subset => either(dice.coin()),
            Cut::Torn { unit } => match index.cmp(&point) {
                std::cmp::Ordering::Less => Keep::Everything,
                std::cmp::Ordering::Equal => torn(op, unit, &mut dice),
                std::cmp::Ordering::Greater => Keep::Nothing,
            },
            Cut::Zeros if index < point || op.is_entry() => Keep::Everything,
            Cut::Zeros => length(op),
            Cut::Mixed => mixed(op, &mut dice),
        };
        pending.iter().enumerate().map(choice).collect()
    }
}

fn torn(op: &Op, unit: u64, dice: &mut Dice) -> Keep {
    // As often one cut as a random choice of units.
    let head = 1 + dice.below(Keep::unit_count(op, unit).clamp(1, 64) - 1);
    let mask = if dice.coin() { (1 << head) - 1 } else { dice.next() };
    Keep::units(op, unit, mask)
}

fn length(op: &Op) -> Keep {
    if matches!(op, Op::Write { .. }) { Keep::Length } else { Keep::Nothing }
}

fn mixed(op: &Op, dice: &mut Dice) -> Keep {
    match dice.below(6) {
        0 | 1 => Keep::Everything,
        2 => Keep::Nothing,
        3 => length(op),
        4 => torn(op, SECTOR, dice),
        _ => torn(op, PAGE, dice),
    }
}
