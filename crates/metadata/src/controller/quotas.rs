//! Setting and taking away client quotas, with the checks Kafka's controller makes (KIP-546, KIP-599, KIP-612).

use std::net::IpAddr;

use super::Draft;
use crate::error::AlterQuotasError;
use crate::image::{QuotaEntity, quota_record};
use crate::record::Record;
use crate::request::{AlterQuotas, QuotaChanges};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

#[derive(Clone, Copy)]
enum Kind {
    Any,
    Whole { most: f64 },
}

/// The quotas of users and clients.
const OF_CLIENTS: [(&str, Kind); 4] = [
    ("producer_byte_rate", Kind::Whole { most: i64::MAX as f64 }),
    ("consumer_byte_rate", Kind::Whole { most: i64::MAX as f64 }),
    ("request_percentage", Kind::Any),
    ("controller_mutation_rate", Kind::Any),
];
const OF_ADDRESSES: [(&str, Kind); 1] = [("connection_creation_rate", Kind::Whole { most: i32::MAX as f64 })];

impl Draft<'_> {
    /// One result per entry, in order. An entry that is refused changes nothing; the others take effect.
    pub(super) fn alter_quotas(&mut self, request: AlterQuotas) -> Vec<Result<(), AlterQuotasError>> {
        request.entries.into_iter().map(|changes| self.alter_entity(&changes)).collect()
    }

    fn alter_entity(&mut self, request: &QuotaChanges) -> Result<(), AlterQuotasError> {
        let known = check_entity(&request.entity)?;
        let before = self.image.quotas().get(&request.entity);
        let mut records = Vec::new();
        for (key, value) in &request.changes {
            let Some((_, kind)) = known.iter().find(|(name, _)| name == key) else {
                return Err(AlterQuotasError::UnknownKey(key.clone()));
            };
            if let Some(value) = value {
                check_value(key, *kind, *value)?;
            }
            let known = before.and_then(|quotas| quotas.get(key)).copied();
            if known != *value {
                records.push(Record::ClientQuota(quota_record(&request.entity, key, *value)));
            }
        }
        if before.is_none() && !records.is_empty() && self.image.quotas().len() as u64 >= self.limits.max_quota_entities
        {
            return Err(AlterQuotasError::Entities(self.limits.max_quota_entities));
        }
        Ok(self.add(records)?)
    }
}

/// The quotas that an entity may have.
fn check_entity(entity: &QuotaEntity) -> Result<&'static [(&'static str, Kind)], AlterQuotasError> {
    if entity.is_empty() {
        return Err(AlterQuotasError::EmptyEntity);
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return Err(AlterQuotasError::UnknownEntityType(kind.clone()));
        }
        if name.as_ref().is_some_and(String::is_empty) {
            return Err(AlterQuotasError::EmptyName(kind.clone()));
        }
    }
    let Some(ip) = entity.get(IP) else { return Ok(&OF_CLIENTS) };
    if entity.len() > 1 {
        return Err(AlterQuotasError::Combination);
    }
    match ip {
        Some(ip) if ip.parse::<IpAddr>().is_err() => Err(AlterQuotasError::NotAnAddress(ip.clone())),
        _ => Ok(&OF_ADDRESSES),
    }
}

fn check_value(key: &str, kind: Kind, value: f64) -> Result<(), AlterQuotasError> {
    /// How far from a whole number a value may be.
    const EPSILON: f64 = 1e-6;
    if !value.is_finite() || value <= 0.0 {
        return Err(AlterQuotasError::NotPositive(key.to_owned()));
    }
    match kind {
        Kind::Whole { most } if value > most => Err(AlterQuotasError::TooLarge(key.to_owned())),
        Kind::Whole { .. } if ((value + EPSILON).floor() - value).abs() > EPSILON => {
            Err(AlterQuotasError::Fractional(key.to_owned()))
        }
        Kind::Any | Kind::Whole { .. } => Ok(()),
    }
}
