//! One rule of a role: what it allows, and whether it covers another one.
//!
//! Pure. `allows` decides requests; `missing` decides whether somebody may grant what they are about to grant.

use serde_json::Value;

use crate::auth::rbac::Attributes;

/// A rule as roles write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub urls: Vec<String>,
}

impl Rule {
    pub fn of(value: &Value) -> Self {
        let texts = |field: &str| {
            let list = value[field].as_array().into_iter().flatten();
            list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    pub fn list(value: &Value) -> Vec<Self> {
        value.as_array().into_iter().flatten().map(Self::of).collect()
    }

    /// The rule as an object, with the fields that say something.
    pub fn to_value(&self) -> Value {
        let fields = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        let said = fields.into_iter().filter(|(_, list)| !list.is_empty());
        Value::Object(said.map(|(field, list)| (field.to_owned(), list.clone().into())).collect())
    }

    pub fn allows(&self, wanted: &Attributes<'_>) -> bool {
        if !has(&self.verbs, wanted.verb) {
            return false;
        }
        match wanted.path {
            Some(path) => self.urls.iter().any(|url| url_covers(url, path)),
            None => {
                has(&self.groups, wanted.group)
                    && self.resources.iter().any(|resource| resource_allows(resource, wanted))
                    && (self.names.is_empty() || self.names.iter().any(|name| name == wanted.name))
            }
        }
    }

    /// This rule in its smallest parts: one verb, one resource, one name each.
    fn parts(&self) -> Vec<Rule> {
        let one = |text: &String| vec![text.clone()];
        let mut parts = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let part = Rule {
                        verbs: one(verb),
                        groups: one(group),
                        resources: one(resource),
                        ..Rule::default()
                    };
                    match self.names.is_empty() {
                        true => parts.push(part),
                        false => {
                            let named = |name| Rule { names: one(name), ..part.clone() };
                            parts.extend(self.names.iter().map(named));
                        }
                    }
                }
            }
        }
        for url in &self.urls {
            let part = |verb| Rule { verbs: one(verb), urls: one(url), ..Rule::default() };
            parts.extend(self.verbs.iter().map(part));
        }
        parts
    }

    /// Whether whoever holds this rule holds all of `part`, which is one of [`Rule::parts`].
    fn covers(&self, part: &Rule) -> bool {
        let names = self.names.is_empty()
            || (!part.names.is_empty() && part.names.iter().all(|name| self.names.contains(name)));
        part.verbs.iter().all(|verb| has(&self.verbs, verb))
            && part.groups.iter().all(|group| has(&self.groups, group))
            && part.resources.iter().all(|resource| self.covers_resource(resource))
            && part.urls.iter().all(|path| self.urls.iter().any(|url| url_covers(url, path)))
            && names
    }

    fn covers_resource(&self, resource: &str) -> bool {
        let below = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        has(&self.resources, resource) || below.is_some_and(|any| self.resources.contains(&any))
    }

    /// As refusals name a rule.
    fn text(&self) -> String {
        let fields = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let said = fields.into_iter().filter(|(_, list)| !list.is_empty());
        let said: Vec<String> = said.map(|(field, list)| format!("{field}:{}", quoted(list))).collect();
        format!("{{{}}}", said.join(", "))
    }
}

/// A list as refusals write it: `["a" "b"]`.
pub fn quoted(list: &[String]) -> String {
    let texts: Vec<String> = list.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

/// What `wanted` contains and `held` does not, as sorted lines; parts that differ in their verbs only are one line.
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let mut lacking: Vec<Rule> = Vec::new();
    for part in wanted.iter().flat_map(Rule::parts) {
        if held.iter().any(|rule| rule.covers(&part)) {
            continue;
        }
        let same = |seen: &&mut Rule| {
            part.urls.is_empty()
                && (&seen.groups, &seen.resources, &seen.names, &seen.urls)
                    == (&part.groups, &part.resources, &part.names, &part.urls)
        };
        match lacking.iter_mut().find(same) {
            Some(seen) => seen.verbs.extend(part.verbs),
            None => lacking.push(part),
        }
    }
    let mut lines: Vec<String> = lacking.iter().map(Rule::text).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|item| item == "*" || item == text)
}

fn resource_allows(resource: &str, wanted: &Attributes<'_>) -> bool {
    if resource == "*" {
        return true;
    }
    match (resource.split_once('/'), wanted.subresource) {
        (None, "") => resource == wanted.plural,
        (Some((parent, subresource)), found) if !found.is_empty() => {
            subresource == found && (parent == "*" || parent == wanted.plural)
        }
        _ => false,
    }
}

fn url_covers(url: &str, path: &str) -> bool {
    match url.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => url == path,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `VERBS GROUPS RESOURCES [NAMES]` or `VERBS url URLS`, lists with commas.
    fn rule(text: &str) -> Rule {
        let list = |text: &str| -> Vec<String> {
            text.split(',').map(|one| if one == "core" { String::new() } else { one.to_owned() }).collect()
        };
        match text.split(' ').collect::<Vec<_>>().as_slice() {
            [verbs, "url", urls] => Rule { verbs: list(verbs), urls: list(urls), ..Rule::default() },
            [verbs, groups, resources, rest @ ..] => Rule {
                verbs: list(verbs),
                groups: list(groups),
                resources: list(resources),
                names: rest.first().map(|names| list(names)).unwrap_or_default(),
                ..Rule::default()
            },
            _ => panic!("not a rule: {text}"),
        }
    }

    /// `VERB GROUP/PLURAL[/SUBRESOURCE] [NAME]` or `VERB /path`.
    #[track_caller]
    fn check(rule_text: &str, request: &str, expect: bool) {
        let words: Vec<&str> = request.split(' ').collect();
        let (verb, thing, name) = (words[0], words[1], words.get(2).copied().unwrap_or(""));
        let mut parts = thing.splitn(3, '/');
        let wanted = match thing.starts_with('/') {
            true => Attributes::of_path(thing, verb),
            false => Attributes {
                verb,
                group: parts.next().filter(|group| *group != "core").unwrap_or(""),
                plural: parts.next().unwrap(),
                subresource: parts.next().unwrap_or(""),
                name,
                ..Attributes::default()
            },
        };
        assert_eq!(rule(rule_text).allows(&wanted), expect, "{rule_text}: {request}");
    }

    #[test]
    fn verbs_groups_and_resources_have_to_fit_together() {
        check("get,list core pods", "get core/pods", true);
        check("get,list core pods", "watch core/pods", false);
        check("get,list core pods", "get apps/pods", false);
        check("get,list core pods", "get core/secrets", false);
        check("get core,apps pods,deployments", "get apps/deployments", true);
    }

    #[test]
    fn a_star_stands_for_everything_in_its_place() {
        check("* * *", "delete apps/deployments", true);
        check("* core pods", "impersonate core/pods", true);
        check("get * pods", "get metrics.k8s.io/pods", true);
        check("get core *", "get core/pods/log", true);
        check("* * *", "get /healthz", false);
    }

    #[test]
    fn a_subresource_is_not_its_parent() {
        check("get core pods", "get core/pods/log", false);
        check("get core pods/log", "get core/pods", false);
        check("get core pods/log", "get core/pods/log", true);
        check("update * */scale", "update apps/deployments/scale", true);
        check("update * */scale", "update apps/deployments/status", false);
        check("update * */scale", "update apps/deployments", false);
    }

    #[test]
    fn names_restrict_and_need_a_name() {
        check("get core secrets a,b", "get core/secrets a", true);
        check("get core secrets a,b", "get core/secrets c", false);
        check("list core secrets a", "list core/secrets", false);
        check("create core secrets a", "create core/secrets", false);
    }

    #[test]
    fn urls_match_whole_or_by_prefix() {
        check("get url /healthz,/api/*", "get /healthz", true);
        check("get url /healthz,/api/*", "get /healthz/etcd", false);
        check("get url /healthz,/api/*", "get /api/v1", true);
        check("get url /healthz,/api/*", "get /api", false);
        check("get url *", "get /anything", true);
        check("get url /healthz", "post /healthz", false);
    }

    #[track_caller]
    fn check_missing(held: &[&str], wanted: &str, expect: &[&str]) {
        let held: Vec<Rule> = held.iter().map(|text| rule(text)).collect();
        assert_eq!(missing(&held, &[rule(wanted)]), expect);
    }

    #[test]
    fn nobody_lacks_what_they_hold() {
        check_missing(&["get,list core pods"], "get core pods", &[]);
        check_missing(&["get core pods", "list core pods"], "get,list core pods", &[]);
        check_missing(&["* * *"], "get apps deployments/scale web", &[]);
        check_missing(&["get * */log"], "get core pods/log", &[]);
        check_missing(&["get url /api/*"], "get url /api/v1,/api/*", &[]);
    }

    #[test]
    fn what_is_lacking_is_named_by_group_resource_and_verbs() {
        check_missing(
            &["get core pods"],
            "get,list,watch core pods,secrets",
            &[
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}"#,
            ],
        );
        check_missing(&[], "get url /metrics", &[r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#]);
    }

    #[test]
    fn holding_names_is_less_than_holding_all_of_them() {
        let lacking = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;
        check_missing(&["get core secrets a"], "get core secrets", &[lacking]);
        let named = r#"{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}"#;
        check_missing(&["get core secrets a"], "get core secrets a,b", &[named]);
    }

    #[test]
    fn a_star_is_held_only_by_a_star() {
        check_missing(
            &["get,list,watch,create,update,patch,delete core pods"],
            "* core pods",
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["*"]}"#],
        );
    }

    #[test]
    fn an_object_becomes_the_same_rule_again() {
        let value =
            json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"] });
        assert_eq!(Rule::of(&value).to_value(), value);
    }
}
