//! Who a container's process is: numbers from a pod's spec, an image's `USER` and the image's passwd file.
//!
//! The files come from the image and are not trusted: unreadable lines are skipped. [`resolve`] is pure.

use super::Error;
use crate::protocol::UserSpec;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, sorted, without duplicates.
    pub groups: Vec<u32>,
    pub home: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Decides uid, gid and groups as Docker and the kubelet do together.
pub fn resolve(spec: &UserSpec, passwd: &str, group: &str) -> Result<Identity, Error> {
    let (wanted_user, wanted_group) = split(spec.user.as_deref().unwrap_or_default());
    let account = match (spec.uid, wanted_user) {
        (Some(uid), _) => by_uid(passwd, uid),
        (None, None) => by_uid(passwd, 0),
        (None, Some(user)) => by_name_or_uid(passwd, user)?,
    };
    let uid = spec.uid.or(account.as_ref().map(|account| account.uid));
    let uid = uid.or_else(|| wanted_user.and_then(|user| user.parse().ok())).unwrap_or(0);
    let gid = match (spec.gid, wanted_group) {
        (Some(gid), _) => gid,
        // The image's group belongs to the image's user, not to one that the pod chose instead.
        (None, Some(name)) if spec.uid.is_none() => group_id(group, name)?,
        _ => account.as_ref().map_or(0, |account| account.gid),
    };
    if uid == 0 && spec.must_not_be_root {
        return Err(Error::Invalid("container has runAsNonRoot and image will run as root".to_owned()));
    }
    let mut groups = spec.extra_groups.clone();
    if let Some(account) = &account {
        groups.extend(memberships(group, account.name));
    }
    groups.sort_unstable();
    groups.dedup();
    let home = account.map(|account| account.home).filter(|home| !home.is_empty()).unwrap_or("/");
    Ok(Identity { uid, gid, groups, home: home.to_owned() })
}

/// The ids that exist in this user namespace, as (first, count).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap(Vec<(u32, u32)>);

impl IdMap {
    pub fn of_users() -> Self {
        Self::read("/proc/self/uid_map")
    }

    pub fn of_groups() -> Self {
        Self::read("/proc/self/gid_map")
    }

    /// Without `/proc` nothing is known, and nothing is forbidden.
    fn read(file: &str) -> Self {
        std::fs::read_to_string(file).map_or(Self(vec![(0, u32::MAX)]), |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let ranges = text.lines().filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
        });
        Self(ranges.collect())
    }

    /// Only the machine's own namespace has all ids.
    pub fn is_rootless(&self) -> bool {
        self.count() < u32::MAX
    }

    pub fn count(&self) -> u32 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn has(&self, id: u32) -> bool {
        self.0.iter().any(|(first, count)| id.checked_sub(*first).is_some_and(|place| place < *count))
    }
}

/// Refuses, in words, an identity that the kernel would refuse with "invalid argument".
pub fn check_exists(identity: &Identity, users: &IdMap, groups: &IdMap) -> Result<(), Error> {
    const HINT: &str = "rootless, only ids from /etc/subuid and /etc/subgid exist, given by newuidmap";
    if !users.has(identity.uid) {
        return Err(Error::Unsupported(format!("there is no user {} here: {HINT}", identity.uid)));
    }
    match identity.groups.iter().chain([&identity.gid]).find(|group| !groups.has(**group)) {
        Some(group) => Err(Error::Unsupported(format!("there is no group {group} here: {HINT}"))),
        None => Ok(()),
    }
}

fn split(user: &str) -> (Option<&str>, Option<&str>) {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    (Some(user).filter(|user| !user.is_empty()), Some(group).filter(|group| !group.is_empty()))
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default();
        Some(Account { name, uid, gid, home })
    })
}

fn by_uid(passwd: &str, uid: u32) -> Option<Account<'_>> {
    accounts(passwd).find(|account| account.uid == uid)
}

fn by_name_or_uid<'a>(passwd: &'a str, user: &str) -> Result<Option<Account<'a>>, Error> {
    let account = accounts(passwd).find(|account| account.name == user);
    match (account, user.parse()) {
        (Some(account), _) => Ok(Some(account)),
        (None, Ok(uid)) => Ok(by_uid(passwd, uid)),
        (None, Err(_)) => {
            Err(Error::Invalid(format!("unable to find user {user}: no matching entries in passwd file")))
        }
    }
}

fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn group_id(group: &str, wanted: &str) -> Result<u32, Error> {
    let named = groups(group).find(|(name, ..)| *name == wanted).map(|(_, gid, _)| gid);
    named.or_else(|| wanted.parse().ok()).ok_or_else(|| {
        Error::Invalid(format!("unable to find group {wanted}: no matching entries in group file"))
    })
}

fn memberships<'a>(group: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    groups(group)
        .filter(move |(_, _, members)| members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\npostgres:x:70:71::/var/lib/postgresql:/bin/sh\n";
    const GROUP: &str = "root:x:0:\npostgres:x:71:\nssl:x:99:other,postgres\n";

    #[track_caller]
    fn check(user: &str, spec: UserSpec, expect: &str) {
        let spec = UserSpec { user: (!user.is_empty()).then(|| user.to_owned()), ..spec };
        let said = match resolve(&spec, PASSWD, GROUP) {
            Ok(Identity { uid, gid, groups, home }) => format!("{uid}:{gid} {groups:?} {home}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expect);
    }

    #[test]
    fn nothing_said_is_root() {
        check("", UserSpec::default(), "0:0 [] /root");
    }

    #[test]
    fn a_name_brings_its_group_memberships_and_home() {
        check("postgres", UserSpec::default(), "70:71 [99] /var/lib/postgresql");
    }

    #[test]
    fn a_known_number_is_as_good_as_its_name() {
        check("70", UserSpec::default(), "70:71 [99] /var/lib/postgresql");
    }

    #[test]
    fn an_unknown_number_gets_group_zero() {
        check("1234", UserSpec::default(), "1234:0 [] /");
    }

    #[test]
    fn the_pods_numbers_win() {
        let spec =
            UserSpec { uid: Some(1000), gid: Some(2000), extra_groups: vec![5, 5], ..Default::default() };
        check("postgres:ssl", spec, "1000:2000 [5] /");
    }

    #[test]
    fn an_images_group_can_be_a_name_or_a_number() {
        check("postgres:ssl", UserSpec::default(), "70:99 [99] /var/lib/postgresql");
        check("postgres:12", UserSpec::default(), "70:12 [99] /var/lib/postgresql");
    }

    #[test]
    fn an_unknown_name_is_refused() {
        check(
            "nobody",
            UserSpec::default(),
            "unable to find user nobody: no matching entries in passwd file",
        );
    }

    #[test]
    fn root_is_refused_where_it_must_not_be() {
        let spec = UserSpec { must_not_be_root: true, ..Default::default() };
        check("root", spec, "container has runAsNonRoot and image will run as root");
    }

    #[track_caller]
    fn check_map(map: &str, uid: u32, exists: bool) {
        let (map, all) = (IdMap::parse(map), IdMap::parse("0 0 4294967295"));
        let identity = Identity { uid, gid: 0, groups: vec![5], home: String::new() };
        assert_eq!(check_exists(&identity, &map, &all).is_ok(), exists);
    }

    #[test]
    fn a_user_outside_the_namespaces_ranges_is_refused() {
        check_map("0 1000 1\n1 100000 65536\n", 65536, true);
        check_map("0 1000 1\n1 100000 65536\n", 65537, false);
        check_map("0 1000 1\n", 70, false);
    }

    #[test]
    fn only_a_full_map_is_the_machines_own() {
        assert!(!IdMap::parse("         0          0 4294967295\n").is_rootless());
        assert!(IdMap::parse("0 1000 1\n").is_rootless());
    }
}
