//! Acting as somebody else: `kubectl --as`, `--as-group`, `--as-uid` and extra fields.
//!
//! Every single thing a caller claims to be needs the right to `impersonate` it. Never silently the caller: headers
//! that make no sense are refused.

use std::collections::BTreeMap;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::auth::rbac::{Attributes, authorize};
use crate::auth::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User, account_of, token};
use crate::server::Server;
use crate::status::ApiError;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";
const NODE: &str = "system:node:";

/// Whom `caller` acts as by these headers when asking for `request`; `None` when they act as themselves.
///
/// Tried first is what allows less: the right to impersonate this sort of user (`impersonate:MODE`) for requests like
/// this one (`impersonate-on:MODE:VERB`). The plain right to `impersonate` allows every request.
pub(crate) fn wanted(
    server: &Server,
    caller: &User,
    headers: &HeaderMap,
    request: &Attributes<'_>,
) -> Result<Option<User>, ApiError> {
    let Some(wanted) = read(headers)? else { return Ok(None) };
    let ask = |attributes: &Attributes<'_>| authorize(server, caller, attributes);
    let constrained = mode(&wanted).map(|mode| {
        let on = format!("impersonate-on:{mode}:{}", request.verb);
        ask(&Attributes { verb: &on, ..request.clone() })?;
        let verb = format!("impersonate:{mode}");
        claims(&wanted, AUTHENTICATION).try_for_each(|claim| ask(&Attributes { verb: &verb, ..claim }))
    });
    if !matches!(constrained, Some(Ok(()))) {
        let plainly =
            claims(&wanted, "").try_for_each(|claim| ask(&Attributes { verb: "impersonate", ..claim }));
        // The first refusal is the one that is told.
        plainly.map_err(|error| constrained.and_then(Result::err).unwrap_or(error))?;
    }
    Ok(Some(User { internal: caller.internal, ..with_implied_groups(wanted) }))
}

/// The sort of user this is, as constrained impersonation names it. Of nodes and service accounts only the name may be
/// claimed that way.
fn mode(wanted: &User) -> Option<&'static str> {
    let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
    match (wanted.name.starts_with(NODE), account_of(&wanted.name).is_some()) {
        (true, _) => only_name.then_some("arbitrary-node"),
        (_, true) => only_name.then_some("serviceaccount"),
        _ => Some("user-info"),
    }
}

/// Everything that is claimed, each as a question without its verb. `group` is where users and groups belong.
fn claims<'a>(wanted: &'a User, group: &'a str) -> impl Iterator<Item = Attributes<'a>> {
    let node = wanted.name.strip_prefix(NODE).filter(|_| !group.is_empty());
    let who = match (account_of(&wanted.name), node) {
        (Some((namespace, name)), _) => Attributes {
            group,
            plural: "serviceaccounts",
            namespace: Some(namespace),
            name,
            ..Attributes::default()
        },
        (None, Some(name)) => Attributes { group, plural: "nodes", name, ..Attributes::default() },
        (None, None) => Attributes { group, plural: "users", name: &wanted.name, ..Attributes::default() },
    };
    let authentication = Attributes { group: AUTHENTICATION, ..Attributes::default() };
    let uid = Attributes { plural: "uids", name: &wanted.uid, ..authentication.clone() };
    let groups = wanted.groups.iter();
    let groups =
        groups.map(move |name| Attributes { group, plural: "groups", name, ..Attributes::default() });
    let extra = wanted.extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
    let extra = extra.map(move |(subresource, name)| Attributes {
        plural: "userextras",
        subresource,
        name,
        ..authentication.clone()
    });
    let uid = Some(uid).filter(|_| !wanted.uid.is_empty());
    std::iter::once(who).chain(uid).chain(groups).chain(extra)
}

/// What the headers say, before anything is added.
fn read(headers: &HeaderMap) -> Result<Option<User>, ApiError> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    };
    let first = |name: &str| texts(name).into_iter().next().unwrap_or_default();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for header in headers.keys() {
        if let Some(key) = header.as_str().strip_prefix(EXTRA) {
            let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
            extra.entry(key).or_default().extend(texts(header.as_str()));
        }
    }
    let user = User { name: first(USER), uid: first(UID), groups: texts(GROUP), extra, internal: false };
    let claims_more = !user.uid.is_empty() || !user.groups.is_empty() || !user.extra.is_empty();
    match (user.name.is_empty(), claims_more) {
        (true, true) => {
            let why = format!("requested {} without impersonating a user name", words(&user));
            Err(ApiError::bad_request(why))
        }
        (true, false) => Ok(None),
        (false, _) => Ok(Some(user)),
    }
}

/// As the reference names a user in this one refusal.
fn words(user: &User) -> String {
    let list = |texts: &[String]| {
        let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", texts.join(", "))
    };
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { list(&user.groups) };
    let extra: Vec<String> =
        user.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
    let extra = match extra.is_empty() {
        true => "(nil)".to_owned(),
        false => format!("{{{}}}", extra.join(", ")),
    };
    let (name, uid) = (&user.name, &user.uid);
    format!(
        "&user.DefaultInfo{{Name:{name:?}, UID:{uid:?}, Groups:{groups}, Extra:map[string][]string{extra}}}"
    )
}

fn with_implied_groups(mut user: User) -> User {
    if user.groups.is_empty()
        && let Some((namespace, _)) = account_of(&user.name)
    {
        user.groups.extend(token::groups_of(namespace));
    }
    let has = |user: &User, group: &str| user.groups.iter().any(|found| found == group);
    let implied = if user.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !has(&user, implied) && !has(&user, UNAUTHENTICATED) {
        user.groups.push(implied.to_owned());
    }
    user
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expect: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let seen = read(&map).map(|user| user.map(with_implied_groups));
        let seen = seen
            .map(|user| user.map(|u| format!("{} {} {} {:?}", u.name, u.uid, u.groups.join(","), u.extra)));
        match expect {
            Some(text) => assert_eq!(seen.unwrap().as_deref(), Some(text)),
            None => assert!(seen.is_err()),
        }
    }

    #[test]
    fn a_user_is_authenticated_unless_said_otherwise() {
        check(&[(USER, "jane")], Some("jane  system:authenticated {}"));
        check(&[(USER, "jane"), (GROUP, "dev")], Some("jane  dev,system:authenticated {}"));
        check(&[(USER, "jane"), (GROUP, UNAUTHENTICATED)], Some("jane  system:unauthenticated {}"));
        check(&[(USER, ANONYMOUS)], Some("system:anonymous  system:unauthenticated {}"));
    }

    #[test]
    fn a_service_account_is_in_the_groups_of_its_namespace() {
        let groups = "system:serviceaccounts,system:serviceaccounts:a,system:authenticated";
        check(
            &[(USER, "system:serviceaccount:a:b")],
            Some(&format!("system:serviceaccount:a:b  {groups} {{}}")),
        );
    }

    #[test]
    fn extra_fields_are_decoded_and_gathered() {
        check(
            &[
                (USER, "j"),
                (UID, "1"),
                ("impersonate-extra-acme.com%2fproject", "a"),
                ("impersonate-extra-acme.com%2fproject", "b"),
            ],
            Some(r#"j 1 system:authenticated {"acme.com/project": ["a", "b"]}"#),
        );
    }

    #[test]
    fn a_group_without_a_user_is_refused() {
        check(&[(GROUP, "dev")], None);
        check(&[(UID, "1")], None);
        check(&[("impersonate-extra-a", "1")], None);
    }
}
