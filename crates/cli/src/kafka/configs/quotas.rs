//! `kafka-configs` of users, client ids and addresses.

use chronik_client::{ApiError, Client, ClientError, EntityQuotas, QuotaEntity};
use chronik_protocol::error::ErrorCode;

use super::entity::QuotaOf;
use crate::failure::Failure;
use crate::report::line;

/// The types of which entities are made, with the words for them.
const TYPES: [(&str, &str); 3] = [("user", "user-principal"), ("client-id", "client-id"), ("ip", "ip")];

pub async fn describe(client: &mut Client, of: &QuotaOf) -> Result<(), Failure> {
    let mut found = client.describe_quotas(&of.entity).await?;
    let is_meant = |one: &EntityQuotas| {
        of.each.iter().all(|kind| one.entity.contains_key(*kind))
            && one.entity.keys().all(|kind| of.entity.contains_key(kind) || of.each.contains(&kind.as_str()))
    };
    found.retain(is_meant);
    found.sort_by(|a, b| a.entity.cmp(&b.entity));
    found.iter().try_for_each(|one| line(&described(one)))
}

fn described(one: &EntityQuotas) -> String {
    let quotas: Vec<_> = one.quotas.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    format!("Quota configs for {} are {}", entity_text(&one.entity), quotas.join(", "))
}

fn entity_text(entity: &QuotaEntity) -> String {
    let part = |(kind, word): &(&str, &str)| {
        Some(match entity.get(*kind)? {
            Some(name) => format!("{word} '{name}'"),
            None => format!("the default {word}"),
        })
    };
    TYPES.iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

pub async fn alter(
    client: &mut Client,
    of: &QuotaOf,
    added: Vec<(String, String)>,
    deleted: Vec<String>,
) -> Result<(), Failure> {
    if !of.each.is_empty() {
        return Err(Failure::Failed("An entity name must be specified with --alter of users, clients or ips".into()));
    }
    if !deleted.is_empty() {
        let now = client.describe_quotas(&of.entity).await?.into_iter().find(|one| one.entity == of.entity);
        let has = |key: &&String| now.as_ref().is_some_and(|now| now.quotas.contains_key(*key));
        let unknown: Vec<&str> = deleted.iter().filter(|key| !has(key)).map(String::as_str).collect();
        if !unknown.is_empty() {
            let text = format!("Invalid config(s): {}", unknown.join(","));
            let error = ApiError { code: ErrorCode::InvalidConfig.code(), message: Some(text) };
            return Err(ClientError::from(error).into());
        }
    }
    let set = added.into_iter().map(|(key, text)| match text.parse::<f64>() {
        Ok(value) => Ok((key, Some(value))),
        Err(_) => Err(Failure::Failed(format!("Cannot parse quota configuration value for {key}: {text}"))),
    });
    let unset = deleted.into_iter().map(|key| Ok((key, None)));
    let changes = set.chain(unset).collect::<Result<Vec<_>, Failure>>()?;
    client.alter_quotas(&of.entity, &changes, false).await?;
    for (kind, _) in TYPES {
        match of.entity.get(kind) {
            Some(Some(name)) => line(&format!("Completed updating config for {} {name}.", noun(kind)))?,
            Some(None) => line(&format!("Completed updating default config for {}s in the cluster.", noun(kind)))?,
            None => {}
        }
    }
    Ok(())
}

/// What an entity is called in the lines printed.
fn noun(kind: &str) -> &str {
    if kind == "client-id" { "client" } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_look_as_kafka_prints_them() {
        let one = EntityQuotas {
            entity: [("user".to_owned(), Some("u".to_owned())), ("client-id".to_owned(), None)].into(),
            quotas: [("producer_byte_rate".to_owned(), 1024.0), ("request_percentage".to_owned(), 0.5)].into(),
        };
        assert_eq!(
            described(&one),
            "Quota configs for user-principal 'u', the default client-id are producer_byte_rate=1024.0, request_percentage=0.5"
        );
    }
}
