//! DescribeClientQuotas (48) and AlterClientQuotas (49), KIP-546.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chronik_metadata::image::{QuotaEntity, Quotas};
use chronik_metadata::request::{AlterQuotas, QuotaChanges};
use chronik_protocol::StrBytes;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::alter_client_quotas_response::{EntityData as AlteredPart, EntryData as AlteredEntry};
use chronik_protocol::messages::describe_client_quotas_request::ComponentData;
use chronik_protocol::messages::describe_client_quotas_response::{
    EntityData as DescribedPart, EntryData as DescribedEntry, ValueData,
};
use chronik_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};

use crate::api::RequestContext;
use crate::handlers::text;

const MATCH_EXACT: i8 = 0;
const MATCH_DEFAULT: i8 = 1;
const MATCH_SPECIFIED: i8 = 2;
const KINDS: [&str; 3] = ["user", "client-id", "ip"];
const IP: &str = "ip";

/// What an entity is asked to have of a kind: a name, being the default, or either.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Name(String),
    Default,
    Any,
}

type Filter = BTreeMap<String, Wanted>;

pub(crate) fn describe(cx: &RequestContext, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    match filter(&request.components) {
        Ok(filter) => {
            let image = cx.broker.image();
            let entries =
                matching(image.quotas(), &filter, request.strict).map(|(entity, quotas)| described(entity, quotas));
            DescribeClientQuotasResponse::default().with_error_message(None).with_entries(Some(entries.collect()))
        }
        Err((error, message)) => DescribeClientQuotasResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(message)))
            .with_entries(None),
    }
}

/// The filter, with the checks and texts of Kafka's brokers.
fn filter(components: &[ComponentData]) -> Result<Filter, (ErrorCode, String)> {
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let mut filter = Filter::new();
    for component in components {
        let kind = component.entity_type.to_string();
        if kind.is_empty() {
            return invalid("Unexpected empty filter component entity type.".into());
        }
        if !KINDS.contains(&kind.as_str()) {
            return Err((ErrorCode::UnsupportedVersion, format!("Custom entity type '{kind}' not supported")));
        }
        let wanted = match (component.match_type, &component._match) {
            (MATCH_EXACT, Some(name)) => Wanted::Name(plain(&kind, name)),
            (MATCH_EXACT, None) => {
                return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".into());
            }
            (MATCH_DEFAULT, None) => Wanted::Default,
            (MATCH_DEFAULT, Some(_)) => {
                return invalid("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.".into());
            }
            (MATCH_SPECIFIED, None) => Wanted::Any,
            (MATCH_SPECIFIED, Some(_)) => {
                return invalid("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.".into());
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        if filter.insert(kind.clone(), wanted).is_some() {
            return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
        }
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination, IP filter component should not be used with user or clientId filter \
             component."
                .into(),
        );
    }
    Ok(filter)
}

/// A name as it is kept: of the many ways to write an address the one in which connections are looked up.
fn plain(kind: &str, name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(address) if kind == IP => address.to_canonical().to_string(),
        _ => name.to_owned(),
    }
}

fn matching<'a>(
    quotas: &'a Quotas,
    filter: &'a Filter,
    strict: bool,
) -> impl Iterator<Item = (&'a QuotaEntity, &'a BTreeMap<String, f64>)> {
    quotas.iter().filter(move |(entity, _)| {
        let fits = |(kind, wanted): (&String, &Wanted)| match (entity.get(kind), wanted) {
            (None, _) => false,
            (Some(_), Wanted::Any) => true,
            (Some(name), Wanted::Name(wanted)) => name.as_ref() == Some(wanted),
            (Some(name), Wanted::Default) => name.is_none(),
        };
        filter.iter().all(fits) && (!strict || entity.len() == filter.len())
    })
}

fn described(entity: &QuotaEntity, quotas: &BTreeMap<String, f64>) -> DescribedEntry {
    let part = |(kind, name): (&String, &Option<String>)| {
        DescribedPart::default().with_entity_type(text(kind)).with_entity_name(name.as_ref().map(text))
    };
    let value = |(key, value): (&String, &f64)| ValueData::default().with_key(text(key)).with_value(*value);
    DescribedEntry::default()
        .with_entity(entity.iter().map(part).collect())
        .with_values(quotas.iter().map(value).collect())
}

pub(crate) async fn alter(cx: &RequestContext, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let parts: Vec<Vec<(StrBytes, Option<StrBytes>)>> = request
        .entries
        .iter()
        .map(|entry| entry.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect())
        .collect();
    let entries = request.entries.into_iter().zip(&parts).map(|(entry, parts)| QuotaChanges {
        entity: parts
            .iter()
            .map(|(kind, name)| (kind.to_string(), name.as_ref().map(|name| plain(kind, name))))
            .collect(),
        changes: entry.ops.into_iter().map(|op| (op.key.to_string(), (!op.remove).then_some(op.value))).collect(),
    });
    let wanted = AlterQuotas { entries: entries.collect(), validate_only: request.validate_only };
    // An entity whose parts name a kind twice cannot be told apart from one that names it once.
    let twice: Vec<bool> = parts.iter().map(|parts| kinds(parts).len() < parts.len()).collect();
    let results: Vec<Result<(), (i16, String)>> = if twice.contains(&true) {
        let refused = |twice: &bool| match twice {
            true => Err((ErrorCode::InvalidRequest.code(), "an entity type cannot appear more than once".to_owned())),
            false => Err((ErrorCode::InvalidRequest.code(), "another entry of the request is invalid".to_owned())),
        };
        twice.iter().map(refused).collect()
    } else {
        match cx.broker.controller().alter_quotas(wanted).await {
            Ok(results) => results.into_iter().map(|r| r.map_err(|e| (e.code(), e.to_string()))).collect(),
            Err(e) => {
                let code = crate::broker::submit_error_code(&e).code();
                parts.iter().map(|_| Err((code, e.to_string()))).collect()
            }
        }
    };
    let entries = parts.into_iter().zip(results).map(|(parts, result)| altered(parts, result));
    AlterClientQuotasResponse::default().with_entries(entries.collect())
}

fn kinds(parts: &[(StrBytes, Option<StrBytes>)]) -> BTreeSet<&StrBytes> {
    parts.iter().map(|(kind, _)| kind).collect()
}

fn altered(parts: Vec<(StrBytes, Option<StrBytes>)>, result: Result<(), (i16, String)>) -> AlteredEntry {
    let part = |(kind, name)| AlteredPart::default().with_entity_type(kind).with_entity_name(name);
    let entry = AlteredEntry::default().with_entity(parts.into_iter().map(part).collect());
    match result {
        Ok(()) => entry.with_error_message(None),
        Err((code, message)) => entry.with_error_code(code).with_error_message(Some(text(message))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_one_spelling() {
        for (given, kept) in [
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("no address", "no address"),
        ] {
            assert_eq!(plain(IP, given), kept);
        }
        assert_eq!(plain("user", "2001:DB8::1"), "2001:DB8::1");
    }
}
