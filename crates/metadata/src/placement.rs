//! Which brokers hold a new partition: those that hold least, spread over racks. Follows from the image alone.

use chronik_protocol::types::BrokerId;

use crate::error::code;
use crate::image::{Image, Load};

/// Why partitions cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("a replication factor of {asked} cannot be reached: {available} brokers are available")]
    TooFewBrokers { asked: usize, available: usize },
}

impl PlacementError {
    pub fn code(&self) -> i16 {
        code::INVALID_REPLICATION_FACTOR
    }
}

struct Candidate<'a> {
    id: BrokerId,
    rack: Option<&'a str>,
    load: Load,
}

/// Chooses `replication_factor` (≥ 1) replicas, preferred leader first, for each of `count` new partitions. The leader
/// is the unfenced broker that leads least; followers hold least, from racks not yet used while there are any. Ties go
/// round from the leader upwards by id.
pub fn place(image: &Image, count: usize, replication_factor: usize) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    let unfenced = image.brokers().filter(|broker| !broker.fenced);
    let mut candidates: Vec<_> =
        unfenced.map(|b| Candidate { id: b.id, rack: b.rack.as_deref(), load: image.load(b.id) }).collect();
    if candidates.len() < replication_factor {
        return Err(PlacementError::TooFewBrokers { asked: replication_factor, available: candidates.len() });
    }
    Ok((0..count).map(|_| place_one(&mut candidates, replication_factor)).collect())
}

fn place_one(candidates: &mut [Candidate<'_>], replication_factor: usize) -> Vec<BrokerId> {
    let mut chosen = Vec::<usize>::with_capacity(replication_factor);
    while chosen.len() < replication_factor {
        let leader = chosen.first().copied();
        let cost = |at: usize| {
            let Candidate { rack, load, .. } = &candidates[at];
            let rack_used = rack.is_some() && chosen.iter().any(|c| candidates[*c].rack == *rack);
            let from_leader = (at + candidates.len() - leader.unwrap_or(0)) % candidates.len();
            let leaders = if leader.is_none() { load.leaders } else { 0 };
            (rack_used, leaders, load.replicas, from_leader)
        };
        let free = (0..candidates.len()).filter(|at| !chosen.contains(at));
        let best = free.min_by_key(|at| cost(*at)).expect("there are at least as many candidates as replicas");
        chosen.push(best);
    }
    candidates[chosen[0]].load.leaders += 1;
    for at in &chosen {
        candidates[*at].load.replicas += 1;
    }
    chosen.into_iter().map(|at| candidates[at].id).collect()
}
