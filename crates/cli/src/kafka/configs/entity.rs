//! Whom `kafka-configs` speaks of: one resource that carries configs, or users, client ids and addresses with their quotas.

use chronik_client::{QuotaEntity, ResourceType};
use clap::{ArgAction, ArgMatches, Args as ClapArgs, FromArgMatches};

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityType {
    Resource(ResourceType),
    /// As a quota's entity names it.
    Quota(&'static str),
}

fn entity_type(text: &str) -> Result<EntityType, String> {
    Ok(match text {
        "topics" => EntityType::Resource(ResourceType::Topic),
        "brokers" => EntityType::Resource(ResourceType::Broker),
        "broker-loggers" => EntityType::Resource(ResourceType::BrokerLogger),
        "groups" => EntityType::Resource(ResourceType::Group),
        "client-metrics" => EntityType::Resource(ResourceType::ClientMetrics),
        "users" => EntityType::Quota("user"),
        "clients" => EntityType::Quota("client-id"),
        "ips" => EntityType::Quota("ip"),
        other => return Err(format!("{other} have no configs")),
    })
}

/// Who is meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Entity {
    /// Without a name each that there is. The empty name of a broker means all brokers.
    Resource(ResourceType, Option<String>),
    Quotas(QuotaOf),
}

/// Whose quotas are meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct QuotaOf {
    pub entity: QuotaEntity,
    /// Types without a name: each of them.
    pub each: Vec<&'static str>,
}

#[derive(Debug, ClapArgs)]
pub struct EntityArgs {
    /// topics, brokers, broker-loggers, groups, client-metrics, users, clients or ips
    #[arg(long, value_parser = entity_type)]
    entity_type: Vec<EntityType>,
    #[command(flatten)]
    names: EntityNames,
    #[arg(long)]
    topic: Option<String>,
    #[arg(long)]
    broker: Option<String>,
    #[arg(long)]
    broker_defaults: bool,
    #[arg(long)]
    broker_logger: Option<String>,
    #[arg(long)]
    group: Option<String>,
    #[arg(long)]
    client_metrics: Option<String>,
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    user_defaults: bool,
    #[arg(long)]
    client: Option<String>,
    #[arg(long)]
    client_defaults: bool,
    #[arg(long)]
    ip: Option<String>,
    #[arg(long)]
    ip_defaults: bool,
}

/// Each `--entity-name` and each `--entity-default`, which is `None`, in the order in which they are given: they belong to the
/// types in that order.
#[derive(Debug)]
struct EntityNames(Vec<Option<String>>);

const NAME: &str = "entity_name";
const DEFAULT: &str = "entity_default";

impl FromArgMatches for EntityNames {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let at = |id| matches.indices_of(id).into_iter().flatten();
        let names = matches.get_many::<String>(NAME).into_iter().flatten().cloned().map(Some);
        let defaults = matches.get_many::<bool>(DEFAULT).into_iter().flatten().filter(|given| **given).map(|_| None);
        let mut all: Vec<_> = at(NAME).zip(names).chain(at(DEFAULT).zip(defaults)).collect();
        all.sort();
        Ok(EntityNames(all.into_iter().map(|(_, name)| name).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ClapArgs for EntityNames {
    fn augment_args(command: clap::Command) -> clap::Command {
        let name = clap::Arg::new(NAME).long("entity-name").action(ArgAction::Append);
        // Given as often as there are types.
        let default = clap::Arg::new(DEFAULT)
            .long("entity-default")
            .action(ArgAction::Append)
            .num_args(0)
            .value_parser(clap::value_parser!(bool))
            .default_missing_value("true");
        command.arg(name).arg(default)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl EntityArgs {
    pub fn entity(&self) -> Result<Entity, Failure> {
        let mut all = self.in_short();
        if self.names.0.len() > self.entity_type.len() {
            return Err(Failure::Failed("There is a name without its --entity-type".into()));
        }
        let mut names = self.names.0.iter().cloned();
        all.extend(self.entity_type.iter().map(|kind| (*kind, names.next())));
        match all.as_slice() {
            [] => Err(Failure::Failed("At least one entity type must be specified".into())),
            [(EntityType::Resource(kind), name)] => resource(*kind, name.as_ref()),
            [(EntityType::Quota(_), _), ..] => quotas(&all),
            _ => Err(Failure::Failed("Only one entity may be specified".into())),
        }
    }

    /// Those with a flag of their own.
    fn in_short(&self) -> Vec<(EntityType, Option<Option<String>>)> {
        use EntityType::{Quota, Resource};
        let named = [
            (Resource(ResourceType::Topic), &self.topic),
            (Resource(ResourceType::Broker), &self.broker),
            (Resource(ResourceType::BrokerLogger), &self.broker_logger),
            (Resource(ResourceType::Group), &self.group),
            (Resource(ResourceType::ClientMetrics), &self.client_metrics),
            (Quota("user"), &self.user),
            (Quota("client-id"), &self.client),
            (Quota("ip"), &self.ip),
        ];
        let defaults = [
            (Resource(ResourceType::Broker), self.broker_defaults),
            (Quota("user"), self.user_defaults),
            (Quota("client-id"), self.client_defaults),
            (Quota("ip"), self.ip_defaults),
        ];
        let named = named.into_iter().filter_map(|(kind, name)| Some((kind, Some(Some(name.clone()?)))));
        named.chain(defaults.into_iter().filter(|(_, given)| *given).map(|(kind, _)| (kind, Some(None)))).collect()
    }
}

fn resource(kind: ResourceType, name: Option<&Option<String>>) -> Result<Entity, Failure> {
    let name = match name {
        Some(None) if kind == ResourceType::Broker => Some(String::new()),
        Some(None) => return Err(Failure::Failed("Only brokers, users, clients and ips have defaults".into())),
        Some(Some(name)) => Some(name.clone()),
        None => None,
    };
    let by_id = matches!(kind, ResourceType::Broker | ResourceType::BrokerLogger);
    match name.as_ref().filter(|name| by_id && !name.is_empty() && name.parse::<i32>().is_err()) {
        Some(name) => Err(Failure::Failed(format!(
            "The entity name for brokers must be a valid integer broker id, found: {name}"
        ))),
        None => Ok(Entity::Resource(kind, name)),
    }
}

fn quotas(all: &[(EntityType, Option<Option<String>>)]) -> Result<Entity, Failure> {
    let mut of = QuotaOf::default();
    for (kind, name) in all {
        let EntityType::Quota(kind) = *kind else {
            return Err(Failure::Failed("Only users and clients may be specified together".into()));
        };
        if of.entity.contains_key(kind) || of.each.contains(&kind) {
            return Err(Failure::Failed(format!("Duplicate entity type: {kind}")));
        }
        match name {
            Some(name) => drop(of.entity.insert(kind.to_owned(), name.clone())),
            None => of.each.push(kind),
        }
    }
    let has = |kind: &str| of.entity.contains_key(kind) || of.each.contains(&kind);
    if has("ip") && all.len() > 1 {
        return Err(Failure::Failed("Only users and clients may be specified together".into()));
    }
    Ok(Entity::Quotas(of))
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::super::Args;
    use super::*;

    fn entity_of(flags: &str) -> Option<Entity> {
        let line = format!("kafka-configs.sh --bootstrap-server a:1 --describe {flags}");
        let args = parse::<Args>(&line.split_whitespace().map(Into::into).collect::<Vec<_>>()).ok()?;
        args.entity.entity().ok()
    }

    fn resource(kind: ResourceType, name: Option<&str>) -> Option<Entity> {
        Some(Entity::Resource(kind, name.map(str::to_owned)))
    }

    fn quotas(entity: &[(&str, Option<&str>)], each: &[&'static str]) -> Option<Entity> {
        let entity = entity.iter().map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned))).collect();
        Some(Entity::Quotas(QuotaOf { entity, each: each.to_vec() }))
    }

    #[test]
    fn resources_are_named_in_two_ways() {
        use ResourceType::{Broker, BrokerLogger, ClientMetrics, Topic};
        assert_eq!(entity_of("--topic t"), resource(Topic, Some("t")));
        assert_eq!(entity_of("--entity-type topics --entity-name t"), resource(Topic, Some("t")));
        assert_eq!(entity_of("--entity-type brokers --entity-default"), resource(Broker, Some("")));
        assert_eq!(entity_of("--broker-defaults"), resource(Broker, Some("")));
        assert_eq!(entity_of("--entity-type brokers"), resource(Broker, None));
        assert_eq!(entity_of("--broker-logger 1"), resource(BrokerLogger, Some("1")));
        assert_eq!(entity_of("--entity-type client-metrics --entity-name m"), resource(ClientMetrics, Some("m")));
    }

    #[test]
    fn names_and_defaults_belong_to_the_types_in_their_order() {
        let both = "--entity-type users --entity-name u --entity-type clients --entity-default";
        assert_eq!(entity_of(both), quotas(&[("user", Some("u")), ("client-id", None)], &[]));
        let both = "--entity-type users --entity-default --entity-type clients --entity-name c";
        assert_eq!(entity_of(both), quotas(&[("user", None), ("client-id", Some("c"))], &[]));
        let both = "--entity-type users --entity-default --entity-type clients --entity-default";
        assert_eq!(entity_of(both), quotas(&[("user", None), ("client-id", None)], &[]));
        assert_eq!(entity_of("--user u --client-defaults"), quotas(&[("user", Some("u")), ("client-id", None)], &[]));
        assert_eq!(entity_of("--user u --entity-type clients"), quotas(&[("user", Some("u"))], &["client-id"]));
        assert_eq!(entity_of("--entity-type ips"), quotas(&[], &["ip"]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "",
            "--topic t --group g",
            "--broker x",
            "--broker-logger x",
            "--entity-type connectors",
            "--entity-type topics --entity-default",
            "--entity-type topics --entity-name a --entity-name b",
            "--user u --topic t",
            "--topic t --user u",
            "--user u --entity-type users",
            "--ip 1.2.3.4 --user u",
        ] {
            assert_eq!(entity_of(bad), None, "{bad}");
        }
    }
}
