//! API keys, and where their flexible versions begin.

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const LIST_OFFSETS: i16 = 2;
pub const METADATA: i16 = 3;
pub const API_VERSIONS: i16 = 18;
pub const CREATE_TOPICS: i16 = 19;
pub const DELETE_TOPICS: i16 = 20;
pub const DELETE_RECORDS: i16 = 21;
pub const INIT_PRODUCER_ID: i16 = 22;
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub const DESCRIBE_CONFIGS: i16 = 32;
pub const CREATE_PARTITIONS: i16 = 37;
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
pub const UPDATE_FEATURES: i16 = 57;
pub const DESCRIBE_CLUSTER: i16 = 60;
pub const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

pub const NO_UUID: [u8; 16] = [0; 16];

/// The first version of `api` with compact strings and tag sections (KIP-482); `i16::MAX` for one the tests do not know.
pub fn flexible_from(api: i16) -> i16 {
    match api {
        PRODUCE | METADATA => 9,
        FETCH => 12,
        LIST_OFFSETS => 6,
        API_VERSIONS => 3,
        CREATE_TOPICS => 5,
        DELETE_TOPICS | OFFSET_FOR_LEADER_EPOCH | DESCRIBE_CONFIGS => 4,
        DELETE_RECORDS | INIT_PRODUCER_ID | CREATE_PARTITIONS => 2,
        INCREMENTAL_ALTER_CONFIGS => 1,
        DESCRIBE_CLUSTER | DESCRIBE_TOPIC_PARTITIONS | UPDATE_FEATURES => 0,
        _ => i16::MAX,
    }
}
