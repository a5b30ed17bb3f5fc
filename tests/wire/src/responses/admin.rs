//! Answers of the administrative requests.

use super::{Parsed, dec, whole};
use crate::api::*;
use crate::dec::Dec;

/// (error, topic id) per topic; ids from version 7 on.
pub fn create_topics(version: i16, body: &[u8]) -> Parsed<Vec<(i16, [u8; 16])>> {
    whole(dec(CREATE_TOPICS, version, body), |d| {
        d.i32()?;
        d.each(|d| {
            d.str()?;
            let id = if version >= 7 { d.uuid()? } else { NO_UUID };
            let error = d.i16()?;
            d.opt_str()?;
            if version >= 5 {
                d.i32()?;
                d.i16()?;
                d.each(|d| {
                    d.str()?;
                    d.opt_str()?;
                    d.bool()?;
                    d.i8()?;
                    d.bool()?;
                    d.end()
                })?;
            }
            d.end()?;
            Ok((error, id))
        })
    })
}

/// (producer id, epoch) or the error code.
pub fn init_producer_id(version: i16, body: &[u8]) -> Parsed<(i16, i64, i16)> {
    whole(dec(INIT_PRODUCER_ID, version, body), |d| {
        d.i32()?;
        Ok((d.i16()?, d.i64()?, d.i16()?))
    })
}

/// (error, epoch, end offset) per partition.
pub fn offset_for_leader_epoch(version: i16, body: &[u8]) -> Parsed<Vec<(i16, i32, i64)>> {
    whole(dec(OFFSET_FOR_LEADER_EPOCH, version, body), |d| {
        d.i32()?;
        let topics = d.each(|d| {
            d.str()?;
            let rows = d.each(|d| {
                let error = d.i16()?;
                d.i32()?;
                let row = (error, d.i32()?, d.i64()?);
                d.end()?;
                Ok(row)
            })?;
            d.end()?;
            Ok(rows)
        })?;
        Ok(topics.into_iter().flatten().collect())
    })
}

/// (low watermark, error) per partition.
pub fn delete_records(version: i16, body: &[u8]) -> Parsed<Vec<(i64, i16)>> {
    whole(dec(DELETE_RECORDS, version, body), |d| {
        d.i32()?;
        let topics = d.each(|d| {
            d.str()?;
            let rows = d.each(|d| {
                d.i32()?;
                let row = (d.i64()?, d.i16()?);
                d.end()?;
                Ok(row)
            })?;
            d.end()?;
            Ok(rows)
        })?;
        Ok(topics.into_iter().flatten().collect())
    })
}

/// Error codes, in order.
pub fn delete_topics(version: i16, body: &[u8]) -> Parsed<Vec<i16>> {
    whole(dec(DELETE_TOPICS, version, body), |d| {
        d.i32()?;
        d.each(|d| {
            d.opt_str()?;
            if version >= 6 {
                d.uuid()?;
            }
            let error = d.i16()?;
            if version >= 5 {
                d.opt_str()?;
            }
            d.end()?;
            Ok(error)
        })
    })
}

/// Error codes, in order.
pub fn create_partitions(version: i16, body: &[u8]) -> Parsed<Vec<i16>> {
    whole(dec(CREATE_PARTITIONS, version, body), |d| {
        d.i32()?;
        d.each(|d| {
            d.str()?;
            let error = d.i16()?;
            d.opt_str()?;
            d.end()?;
            Ok(error)
        })
    })
}

/// Error codes, in order.
pub fn describe_configs(version: i16, body: &[u8]) -> Parsed<Vec<i16>> {
    whole(dec(DESCRIBE_CONFIGS, version, body), |d| {
        d.i32()?;
        d.each(|d| {
            let error = d.i16()?;
            d.opt_str()?;
            d.i8()?;
            d.str()?;
            d.each(|d| described_config(d, version))?;
            d.end()?;
            Ok(error)
        })
    })
}

fn described_config(d: &mut Dec<'_>, version: i16) -> Parsed<()> {
    d.str()?;
    d.opt_str()?;
    d.bool()?;
    d.i8()?;
    d.bool()?;
    d.each(|d| {
        d.str()?;
        d.opt_str()?;
        d.i8()?;
        d.end()
    })?;
    if version >= 3 {
        d.i8()?;
        d.opt_str()?;
    }
    d.end().map(drop)
}

/// Error codes, in order.
pub fn describe_cluster(version: i16, body: &[u8]) -> Parsed<Vec<i16>> {
    whole(dec(DESCRIBE_CLUSTER, version, body), |d| {
        d.i32()?;
        let error = d.i16()?;
        d.opt_str()?;
        if version >= 1 {
            d.i8()?;
        }
        d.str()?;
        d.i32()?;
        d.each(|d| {
            d.i32()?;
            d.str()?;
            d.i32()?;
            d.opt_str()?;
            if version >= 2 {
                d.bool()?;
            }
            d.end()
        })?;
        d.i32()?;
        Ok(vec![error])
    })
}

/// Error codes, in order.
pub fn describe_topic_partitions(body: &[u8]) -> Parsed<Vec<i16>> {
    whole(dec(DESCRIBE_TOPIC_PARTITIONS, 0, body), |d| {
        d.i32()?;
        let errors = d.each(|d| {
            let error = d.i16()?;
            d.opt_str()?;
            d.uuid()?;
            d.bool()?;
            d.each(|d| {
                d.i16()?;
                d.take(4 * 3)?;
                for _ in 0..5 {
                    d.each(Dec::i32)?;
                }
                d.end()
            })?;
            d.i32()?;
            d.end()?;
            Ok(error)
        })?;
        if d.i8()? >= 0 {
            d.str()?;
            d.i32()?;
            d.end()?;
        }
        Ok(errors)
    })
}

/// Error per resource.
pub fn incremental_alter_configs(version: i16, body: &[u8]) -> Parsed<Vec<i16>> {
    whole(dec(INCREMENTAL_ALTER_CONFIGS, version, body), |d| {
        d.i32()?;
        d.each(|d| {
            let error = d.i16()?;
            d.opt_str()?;
            d.i8()?;
            d.str()?;
            d.end()?;
            Ok(error)
        })
    })
}

/// The error of all features; before version 2 each is named beside it.
pub fn update_features(version: i16, body: &[u8]) -> Parsed<i16> {
    whole(dec(UPDATE_FEATURES, version, body), |d| {
        d.i32()?;
        let error = d.i16()?;
        d.opt_str()?;
        if version < 2 {
            d.each(|d| {
                d.str()?;
                d.i16()?;
                d.opt_str()?;
                d.end()
            })?;
        }
        Ok(error)
    })
}
