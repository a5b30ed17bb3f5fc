//! Consumer groups as pure state: what a group does with a request or with the passing of time, and whom it answers.
//!
//! No clock, no I/O, no randomness: the time is an argument, in milliseconds of a clock that never goes back, new member
//! ids are handed in, and what must be durable before an answer is given is handed out.

pub mod classic;
pub mod consumer;

pub use classic::{
    Answer, ClassicGroup, Effects, Join, Joined, JoinedMember, Leaver, MemberSummary, MovingMember, Protocol, Settings,
    State, StoredGroup, StoredMember, Sync, Synced, Waiter,
};
pub use consumer::{
    Assignment, Assignor, ClassicMembership, Commits, ConsumerGroup, ConsumerMemberSummary, ConsumerSettings,
    ConsumerState, ConsumerSummary, Heartbeat, Heartbeaten, MemberState, Migration, Owned, Refusal,
    StoredConsumerGroup, StoredConsumerMember, TopicInfo, Topics, View,
};
