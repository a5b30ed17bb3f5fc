//! Client quotas: what may be set for whom, and that it is kept.

mod common;

use chronik_metadata::Response;
use chronik_metadata::error::AlterQuotasError;
use chronik_metadata::image::QuotaEntity;
use chronik_metadata::request::{AlterQuotas, QuotaChanges, Request};
use chronik_metadata::{Controller, Decision};
use common::{controller, replay};

fn entity(parts: &[(&str, Option<&str>)]) -> QuotaEntity {
    parts.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect()
}

fn alter(
    controller: &mut Controller,
    entity: QuotaEntity,
    changes: &[(&str, Option<f64>)],
    validate_only: bool,
) -> (Decision, Result<(), AlterQuotasError>) {
    let changes = changes.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    let entries = vec![QuotaChanges { entity, changes }];
    let decision = controller.handle(5, Request::AlterQuotas(AlterQuotas { entries, validate_only }));
    let Response::AlterQuotas(results) = decision.response.clone() else { panic!("answered in kind") };
    (decision, results[0].clone())
}

#[test]
fn what_is_set_is_kept_until_it_is_taken_away() {
    let mut controller = controller(1);
    let (user, both) = (entity(&[("user", Some("u"))]), entity(&[("user", None), ("client-id", Some("c"))]));
    let mut log = Vec::new();
    for (who, changes) in [
        (&user, &[("producer_byte_rate", Some(1024.0)), ("request_percentage", Some(12.5))][..]),
        (&both, &[("consumer_byte_rate", Some(1.0))]),
        (&user, &[("request_percentage", None)]),
    ] {
        let (decision, result) = alter(&mut controller, who.clone(), changes, false);
        assert_eq!(result, Ok(()));
        log.extend(decision.records);
    }
    let quotas = controller.tip().quotas();
    assert_eq!(quotas[&user].iter().collect::<Vec<_>>(), [(&"producer_byte_rate".to_owned(), &1024.0)]);
    assert_eq!(quotas[&both]["consumer_byte_rate"], 1.0);
    assert_eq!(replay(&log, 0).quotas(), quotas);
    let (decision, _) = alter(&mut controller, user.clone(), &[("producer_byte_rate", None)], false);
    assert_eq!(decision.records.len(), 1);
    assert!(!controller.tip().quotas().contains_key(&user));
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut controller = controller(1);
    let user = entity(&[("user", Some("u"))]);
    let set = [("producer_byte_rate", Some(10.0))];
    assert!(alter(&mut controller, user.clone(), &set, true).0.records.is_empty(), "it only validates");
    assert!(controller.tip().quotas().is_empty());
    assert_eq!(alter(&mut controller, user.clone(), &set, false).0.records.len(), 1);
    assert!(alter(&mut controller, user.clone(), &set, false).0.records.is_empty(), "it is so already");
    assert!(alter(&mut controller, user, &[("consumer_byte_rate", None)], false).0.records.is_empty());
}

#[test]
fn what_kafka_refuses_is_refused() {
    use AlterQuotasError::*;
    let user = || entity(&[("user", Some("u"))]);
    let ip = || entity(&[("ip", Some("10.0.0.1"))]);
    let rate = "producer_byte_rate";
    let cases: Vec<(QuotaEntity, &str, f64, AlterQuotasError)> = vec![
        (entity(&[]), rate, 1.0, EmptyEntity),
        (entity(&[("group", Some("g"))]), rate, 1.0, UnknownEntityType("group".into())),
        (entity(&[("client-id", Some(""))]), rate, 1.0, EmptyName("client-id".into())),
        (entity(&[("user", Some("u")), ("ip", None)]), rate, 1.0, Combination),
        (entity(&[("ip", Some("10.0.0"))]), "connection_creation_rate", 1.0, NotAnAddress("10.0.0".into())),
        (user(), "connection_creation_rate", 1.0, UnknownKey("connection_creation_rate".into())),
        (ip(), rate, 1.0, UnknownKey(rate.into())),
        (user(), rate, 0.0, NotPositive(rate.into())),
        (user(), rate, f64::NAN, NotPositive(rate.into())),
        (user(), rate, 1.5, Fractional(rate.into())),
        (ip(), "connection_creation_rate", 3e9, TooLarge("connection_creation_rate".into())),
    ];
    let mut controller = controller(1);
    for (entity, key, value, expected) in cases {
        let (decision, result) = alter(&mut controller, entity, &[(key, Some(value))], false);
        assert_eq!(result, Err(expected));
        assert!(decision.records.is_empty());
    }
    assert_eq!(alter(&mut controller, user(), &[("request_percentage", Some(0.5))], false).1, Ok(()));
    assert_eq!(
        alter(&mut controller, entity(&[("ip", None)]), &[("connection_creation_rate", Some(2.0))], false).1,
        Ok(())
    );
}
