//! Records: in, out, where they are, and how far they go back.

pub(crate) mod delete_records;
pub(crate) mod fetch;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
