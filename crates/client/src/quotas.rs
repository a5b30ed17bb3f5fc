//! Client quotas (KIP-546).

use std::collections::BTreeMap;

use chronik_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use chronik_protocol::messages::describe_client_quotas_request::ComponentData;
use chronik_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::metadata::text;

/// Who a quota is for: by entity type (`user`, `client-id`, `ip`) a name, or `None` for the default of that type.
pub type QuotaEntity = BTreeMap<String, Option<String>>;

/// The quotas of one entity, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityQuotas {
    pub entity: QuotaEntity,
    pub quotas: BTreeMap<String, f64>,
}

const MATCH_EXACT: i8 = 0;
const MATCH_DEFAULT: i8 = 1;

impl Client {
    /// The quotas of every entity that has these parts, others beside them too.
    pub async fn describe_quotas(&mut self, of: &QuotaEntity) -> Result<Vec<EntityQuotas>, ClientError> {
        let component = |(kind, name): (&String, &Option<String>)| {
            ComponentData::default()
                .with_entity_type(text(kind))
                .with_match_type(if name.is_some() { MATCH_EXACT } else { MATCH_DEFAULT })
                .with_match(name.as_ref().map(|name| text(name)))
        };
        let request = DescribeClientQuotasRequest::default().with_components(of.iter().map(component).collect());
        let response = self.any().await?.call(&request).await?;
        check(response.error_code, response.error_message.as_ref())?;
        let entries = response.entries.unwrap_or_default().into_iter().map(|entry| EntityQuotas {
            entity: entry
                .entity
                .into_iter()
                .map(|part| (part.entity_type.to_string(), part.entity_name.map(|name| name.to_string())))
                .collect(),
            quotas: entry.values.into_iter().map(|value| (value.key.to_string(), value.value)).collect(),
        });
        Ok(entries.collect())
    }

    /// Sets quotas of one entity and, with `None`, takes them away; all together or not at all.
    pub async fn alter_quotas(
        &mut self,
        entity: &QuotaEntity,
        changes: &[(String, Option<f64>)],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let part = |(kind, name): (&String, &Option<String>)| {
            EntityData::default().with_entity_type(text(kind)).with_entity_name(name.as_ref().map(|name| text(name)))
        };
        let change = |(key, value): &(String, Option<f64>)| {
            OpData::default().with_key(text(key)).with_value(value.unwrap_or(0.0)).with_remove(value.is_none())
        };
        let entry = EntryData::default()
            .with_entity(entity.iter().map(part).collect())
            .with_ops(changes.iter().map(change).collect());
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]).with_validate_only(validate_only);
        let response = self.administer(&request).await?;
        let result = response.entries.into_iter().next().ok_or(ClientError::Unanswered("AlterClientQuotas"))?;
        check(result.error_code, result.error_message.as_ref()).map_err(ApiError::into)
    }
}
