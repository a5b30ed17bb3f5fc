//! Which quota holds for a client, and with whom the client shares it.

use chronik_metadata::image::{QuotaEntity, Quotas};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

/// A quota, and whose use of it is counted together: those with the same user, the same client id, or both.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applicable {
    pub(crate) quota: f64,
    pub(crate) by_user: bool,
    pub(crate) by_client: bool,
}

/// Of an entity: whether it has this part, and whether under a name or as the default.
type Part<'a> = Option<Option<&'a str>>;

/// The most specific quota of a kind: a user's before a client id's, a name before a default, both together before either.
pub(crate) fn of_client(quotas: &Quotas, key: &str, user: &str, client_id: &str) -> Option<Applicable> {
    let (named_user, named_client): (Part<'_>, Part<'_>) = (Some(Some(user)), Some(Some(client_id)));
    let (any_user, any_client) = (Some(None), Some(None));
    let order = [
        (named_user, named_client),
        (named_user, any_client),
        (named_user, None),
        (any_user, named_client),
        (any_user, any_client),
        (any_user, None),
        (None, named_client),
        (None, any_client),
    ];
    order.into_iter().find_map(|(user, client)| {
        let quota = *quotas.get(&entity(&[(USER, user), (CLIENT_ID, client)]))?.get(key)?;
        Some(Applicable { quota, by_user: user.is_some(), by_client: client.is_some() })
    })
}

/// The quota of connections from an address.
pub(crate) fn of_address(quotas: &Quotas, key: &str, address: &str) -> Option<f64> {
    [Some(address), None].into_iter().find_map(|ip| quotas.get(&entity(&[(IP, Some(ip))]))?.get(key).copied())
}

fn entity(parts: &[(&str, Part<'_>)]) -> QuotaEntity {
    let part = |(kind, name): &(&str, Part<'_>)| Some(((*kind).to_owned(), (*name)?.map(str::to_owned)));
    parts.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_quota_holds() {
        let (u, c) = (Some(Some("u")), Some(Some("c")));
        let order = [
            (u, c),
            (u, Some(None)),
            (u, None),
            (Some(None), c),
            (Some(None), Some(None)),
            (Some(None), None),
            (None, c),
            (None, Some(None)),
        ];
        let mut quotas = Quotas::new();
        for (i, (user, client)) in order.into_iter().enumerate().rev() {
            let of_entity = [("k".to_owned(), i as f64 + 1.0)].into();
            quotas.insert(entity(&[(USER, user), (CLIENT_ID, client)]), of_entity);
            let found = of_client(&quotas, "k", "u", "c").expect("one of them");
            assert_eq!(found.quota, i as f64 + 1.0);
            assert_eq!((found.by_user, found.by_client), (user.is_some(), client.is_some()));
        }
        assert_eq!(of_client(&quotas, "k", "x", "y").map(|found| found.quota), Some(5.0));
        assert_eq!(of_client(&quotas, "other", "u", "c"), None);
    }

    #[test]
    fn an_address_has_its_own_quota_or_the_default() {
        let mut quotas = Quotas::new();
        assert_eq!(of_address(&quotas, "k", "10.0.0.1"), None);
        quotas.insert(entity(&[(IP, Some(None))]), [("k".to_owned(), 7.0)].into());
        quotas.insert(entity(&[(IP, Some(Some("10.0.0.1")))]), [("k".to_owned(), 9.0)].into());
        assert_eq!(of_address(&quotas, "k", "10.0.0.1"), Some(9.0));
        assert_eq!(of_address(&quotas, "k", "10.0.0.2"), Some(7.0));
    }
}
