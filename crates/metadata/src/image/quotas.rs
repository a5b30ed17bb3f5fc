//! Client quotas: what is set for whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::record::{ClientQuota, QuotaEntityPart, Record};

/// Who a quota is for: by entity type (`user`, `client-id`, `ip`) a name, or `None` for the default of that type.
pub type QuotaEntity = BTreeMap<String, Option<String>>;

/// By entity, the quotas set for it. Finite numbers above 0.
pub type Quotas = BTreeMap<QuotaEntity, BTreeMap<String, f64>>;

/// The quotas of an image, shared until they change.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientQuotas(Arc<Quotas>);

impl ClientQuotas {
    pub(super) fn all(&self) -> &Arc<Quotas> {
        &self.0
    }

    pub(super) fn set(&mut self, r: &ClientQuota) {
        let entity: QuotaEntity = r.entity.iter().map(|part| (part.kind.clone(), part.name.clone())).collect();
        let quotas = Arc::make_mut(&mut self.0);
        match r.value_bits {
            Some(bits) => drop(quotas.entry(entity).or_default().insert(r.key.clone(), f64::from_bits(bits))),
            None => {
                if let Some(of_entity) = quotas.get_mut(&entity) {
                    of_entity.remove(&r.key);
                    if of_entity.is_empty() {
                        quotas.remove(&entity);
                    }
                }
            }
        }
    }

    pub(super) fn for_each_record(&self, visit: &mut impl FnMut(&Record)) {
        for (entity, quotas) in self.0.iter() {
            for (key, value) in quotas {
                visit(&Record::ClientQuota(record(entity, key, Some(*value))));
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let entity = |entity: &QuotaEntity| {
            entity.iter().map(|(kind, name)| 48 + kind.len() + name.as_ref().map_or(0, String::len)).sum::<usize>()
        };
        let quotas = |quotas: &BTreeMap<String, f64>| quotas.keys().map(|key| 32 + key.len()).sum::<usize>();
        self.0.iter().map(|(who, set)| 48 + entity(who) + quotas(set)).sum()
    }
}

/// The record that sets a quota, or with `None` takes it away.
pub(crate) fn record(entity: &QuotaEntity, key: &str, value: Option<f64>) -> ClientQuota {
    let part = |(kind, name): (&String, &Option<String>)| QuotaEntityPart { kind: kind.clone(), name: name.clone() };
    ClientQuota { entity: entity.iter().map(part).collect(), key: key.to_owned(), value_bits: value.map(f64::to_bits) }
}
