//! Levels of features: what they are at first, which way they may go, and that they are kept.

mod common;

use chronik_metadata::error::UpdateFeaturesError;
use chronik_metadata::features::{FEATURES, GROUP_VERSION};
use chronik_metadata::request::{FeatureUpdate, Request, UpdateFeatures, UpgradeType};
use chronik_metadata::{Controller, Image, Record, Response, snapshot};
use common::{controller, replay};

const UP: Option<UpgradeType> = Some(UpgradeType::Upgrade);
const SAFE: Option<UpgradeType> = Some(UpgradeType::SafeDowngrade);
const UNSAFE: Option<UpgradeType> = Some(UpgradeType::UnsafeDowngrade);

type Update<'a> = (&'a str, i16, Option<UpgradeType>);

fn update(
    controller: &mut Controller,
    updates: &[Update<'_>],
    validate_only: bool,
) -> (Vec<Record>, Result<(), UpdateFeaturesError>) {
    let updates = updates.iter().map(|&(feature, level, upgrade_type)| FeatureUpdate {
        feature: feature.to_owned(),
        level,
        upgrade_type,
    });
    let request = UpdateFeatures { updates: updates.collect(), validate_only };
    let decision = controller.handle(5, Request::UpdateFeatures(request));
    let Response::UpdateFeatures(result) = decision.response else { panic!("answered in kind") };
    (decision.records, result)
}

#[test]
fn the_table_is_sorted_and_sane() {
    assert!(FEATURES.is_sorted_by(|a, b| a.name < b.name));
    assert!(FEATURES.iter().all(|feature| feature.supported.contains(&feature.unset)));
}

/// Of an empty log, and of one from before there were records of features.
#[test]
fn consumer_groups_are_on_unless_the_log_says_otherwise() {
    assert_eq!(Image::default().finalized_level(GROUP_VERSION), 1);
    assert_eq!(controller(1).tip().finalized_level(GROUP_VERSION), 1);
    assert_eq!(controller(1).tip().finalized_level("no.such"), 0);
}

#[test]
fn a_level_is_kept() {
    let mut controller = controller(1);
    let (mut log, result) = update(&mut controller, &[(GROUP_VERSION, 0, SAFE)], false);
    assert_eq!((log.len(), result), (1, Ok(())));
    for image in [controller.tip().clone(), replay(&log, 1)] {
        assert_eq!(image.finalized_level(GROUP_VERSION), 0);
        let loaded = snapshot::decode(&snapshot::encode(&image)).expect("a snapshot loads");
        assert_eq!((loaded.finalized_level(GROUP_VERSION), loaded.hash()), (0, image.hash()));
    }
    let off = controller.tip().hash();
    log.extend(update(&mut controller, &[(GROUP_VERSION, 1, UP)], false).0);
    assert_ne!(controller.tip().hash(), off);
    assert_eq!(replay(&log, 1).finalized_level(GROUP_VERSION), 1);
    log.extend(update(&mut controller, &[(GROUP_VERSION, 0, UNSAFE)], false).0);
    assert_eq!(replay(&log, 1).finalized_level(GROUP_VERSION), 0);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut controller = controller(1);
    for (updates, validate_only) in [
        (&[][..], false),
        (&[(GROUP_VERSION, 1, UP)], false),
        (&[(GROUP_VERSION, 1, SAFE)], false),
        (&[(GROUP_VERSION, 0, SAFE), (GROUP_VERSION, 1, UP)], false),
        (&[(GROUP_VERSION, 0, SAFE)], true),
    ] {
        assert_eq!(update(&mut controller, updates, validate_only), (Vec::new(), Ok(())), "{updates:?}");
        assert_eq!(controller.tip().finalized_level(GROUP_VERSION), 1);
    }
}

/// The words are those of Apache Kafka 4.3.1.
#[test]
fn what_kafka_refuses_is_refused_and_with_it_the_rest() {
    let mut controller = controller(1);
    for ((feature, level, upgrade_type), reason) in [
        ((GROUP_VERSION, 0, None), "The controller does not support the given upgrade type."),
        ((GROUP_VERSION, -1, SAFE), "A feature version cannot be less than 0."),
        (("no.such", 0, SAFE), "Feature no.such not found."),
        (("no.such", 1, UP), "Local controller 1 does not support this feature."),
        ((GROUP_VERSION, 2, UP), "Local controller 1 only supports versions 0-1"),
        (
            (GROUP_VERSION, 0, UP),
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade.",
        ),
    ] {
        let (records, result) = update(&mut controller, &[(feature, level, upgrade_type)], false);
        let error = result.expect_err(reason);
        assert_eq!(error.to_string(), format!("Invalid update version {level} for feature {feature}. {reason}"));
        assert_eq!((error.code(), records.len()), (95, 0));
    }
    let both = [(GROUP_VERSION, 0, SAFE), ("no.such", 1, UP)];
    assert!(update(&mut controller, &both, false).1.is_err());
    assert_eq!(controller.tip().finalized_level(GROUP_VERSION), 1);
    assert_eq!(update(&mut controller, &both[..1], false).1, Ok(()));
    for upgrade_type in [SAFE, UNSAFE] {
        let error = update(&mut controller, &[(GROUP_VERSION, 1, upgrade_type)], false).1.expect_err("it is newer");
        assert!(error.to_string().ends_with("Can't downgrade to a newer version."), "{error}");
    }
}
