//! Keys of a subscription to clients' metrics (KIP-714).

use crate::key::Importance::Medium;
use crate::key::Kind::{Int, List};
use crate::key::Validator::Any;
use crate::key::{Dynamic, Key, Kind, Scope, Status, Validator};

const fn client_metrics(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    validator: Validator,
    doc: &'static str,
) -> Key {
    let (scope, dynamic, importance) = (Scope::ClientMetrics, Dynamic::ClusterWide, Medium);
    Key { name, kind, default, validator, scope, dynamic, synonyms: &[], importance, status: Status::Ignored, doc }
}

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    client_metrics("interval.ms", Int, Some("300000"), Any,
        "Pause between two pushes of a client, from 100 ms to an hour."),
    client_metrics("match", List, Some(""), Any,
        "Which clients: a list of name=regular expression, each of which must match; empty for all."),
    client_metrics("metrics", List, Some(""), Any,
        "Which metrics, by the beginning of their names; * for all, empty for none."),
];
