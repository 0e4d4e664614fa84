//! The names of the cluster: what `cluster.local` and the reverse zone contain at one moment.
//!
//! Built from Services and EndpointSlices, replaced as a whole when either changes, asked from memory.
//! Follows the Kubernetes DNS specification 1.1.0; pods' own names (`10-244-0-5.ns.pod`) are computed.
//!
//! Start at [`Zone::build`] and [`Zone::answer`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::wire::{self, Data, Name, Query, Rcode, Record, Response};

const TTL_S: u32 = 5;
/// Name of the label that ties an EndpointSlice to its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// What to do with a question.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Answer(Response),
    /// An ExternalName leads out of the cluster: give `answers`, followed by what the upstream says of `target`.
    Follow {
        answers: Vec<Record>,
        target: Name,
    },
    /// Not ours: ask the host's resolvers.
    Forward,
}

#[derive(Debug, Default)]
struct Entry {
    cluster_ip: Option<Ipv4Addr>,
    external_name: Option<Name>,
    ports: Vec<Port>,
    /// Host name to addresses; only headless services have any.
    hosts: BTreeMap<String, Vec<Ipv4Addr>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Port {
    name: String,
    protocol: String,
    number: u16,
}

/// The contents of the zones we are authoritative for.
#[derive(Debug)]
pub struct Zone {
    domain: Name,
    serial: u32,
    namespaces: HashSet<String>,
    services: HashMap<(String, String), Entry>,
    pointers: HashMap<Ipv4Addr, Name>,
}

impl Zone {
    /// `domain` is usually `cluster.local`; `serial` grows with each build.
    pub fn build<'a>(
        domain: &str,
        serial: u32,
        services: impl IntoIterator<Item = &'a Service>,
        slices: impl IntoIterator<Item = &'a EndpointSlice>,
    ) -> Self {
        let mut zone = Zone {
            domain: Name::parse(domain),
            serial,
            namespaces: HashSet::new(),
            services: HashMap::new(),
            pointers: HashMap::new(),
        };
        for service in services {
            zone.add_service(service);
        }
        for slice in slices {
            zone.add_slice(slice);
        }
        zone
    }

    fn add_service(&mut self, service: &Service) {
        let (Some(namespace), Some(name)) = (&service.metadata.namespace, &service.metadata.name) else {
            return;
        };
        let Some(spec) = &service.spec else { return };
        let mut entry = Entry::default();
        if spec.type_.as_deref() == Some("ExternalName") {
            entry.external_name = spec.external_name.as_deref().map(Name::parse);
        } else {
            entry.cluster_ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok());
        }
        if entry.cluster_ip.is_some() {
            for port in spec.ports.iter().flatten() {
                entry.ports.push(Port {
                    name: port.name.clone().unwrap_or_default().to_ascii_lowercase(),
                    protocol: port.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase(),
                    number: u16::try_from(port.port).unwrap_or_default(),
                });
            }
        }
        if let Some(ip) = entry.cluster_ip {
            self.pointers.insert(ip, self.name_of(&[name, namespace, "svc"]));
        }
        self.namespaces.insert(namespace.clone());
        self.services.insert((namespace.clone(), name.clone()), entry);
    }

    /// Adds the hosts of a headless service; slices of other services carry nothing the zone shows.
    fn add_slice(&mut self, slice: &EndpointSlice) {
        let Some(namespace) = &slice.metadata.namespace else { return };
        let Some(service) = slice.metadata.labels.as_ref().and_then(|l| l.get(SERVICE_LABEL)) else { return };
        if slice.address_type != "IPv4" {
            return;
        }
        let domain = self.domain.clone();
        let Some(entry) = self.services.get_mut(&(namespace.clone(), service.clone())) else { return };
        if entry.cluster_ip.is_some() || entry.external_name.is_some() {
            return;
        }
        for port in slice.ports.iter().flatten() {
            let port = Port {
                name: port.name.clone().unwrap_or_default().to_ascii_lowercase(),
                protocol: port.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase(),
                number: port.port.and_then(|p| u16::try_from(p).ok()).unwrap_or_default(),
            };
            if !entry.ports.contains(&port) {
                entry.ports.push(port);
            }
        }
        for endpoint in slice.endpoints.iter().flatten() {
            // Absent means ready; a service that publishes unready addresses marks them ready in the slice.
            if endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(false) {
                continue;
            }
            for ip in endpoint.addresses.iter().filter_map(|a| a.parse::<Ipv4Addr>().ok()) {
                let host = match &endpoint.hostname {
                    Some(name) if !name.is_empty() => name.to_ascii_lowercase(),
                    _ => ip.to_string().replace('.', "-"),
                };
                let name = name_in(&domain, &[&host, service, namespace, "svc"]);
                // A named host is the better answer for who an address is.
                if endpoint.hostname.is_some() || !self.pointers.contains_key(&ip) {
                    self.pointers.insert(ip, name);
                }
                let addresses = entry.hosts.entry(host).or_default();
                if !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
        }
    }

    /// What the cluster says to `query`. Never blocks, never asks anyone.
    pub fn answer(&self, query: &Query) -> Outcome {
        if query.qclass != wire::CLASS_IN {
            return Outcome::Answer(Response::code(Rcode::Refused));
        }
        if let Some(labels) = query.name.strip_zone(&self.domain) {
            return self.forward_lookup(query, labels);
        }
        let labels: Vec<&str> = query.name.labels().iter().map(String::as_str).collect();
        match labels.as_slice() {
            [a, b, c, d, "in-addr", "arpa"] => self.reverse_lookup(query, [d, c, b, a]),
            ["localhost"] | [.., "localhost"] => Outcome::Answer(self.localhost(query)),
            // Reserved for reaching the host; refused until that exists, never sent to a resolver outside.
            [.., "drydock", "internal"] => Outcome::Answer(Response::code(Rcode::Refused)),
            // A single label can only mean a search domain of ours, and those were asked before this.
            [_] if query.qtype == wire::TYPE_A || query.qtype == wire::TYPE_AAAA => {
                Outcome::Answer(Response::code(Rcode::NxDomain))
            }
            _ => Outcome::Forward,
        }
    }

    fn forward_lookup(&self, query: &Query, labels: &[String]) -> Outcome {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            [] => Outcome::Answer(self.apex(query)),
            ["svc" | "pod"] => Outcome::Answer(self.found(query, vec![])),
            ["dns-version"] => Outcome::Answer(self.found(query, vec![Data::Txt("1.1.0".into())])),
            [namespace, "svc" | "pod"] if self.namespaces.contains(*namespace) => {
                Outcome::Answer(self.found(query, vec![]))
            }
            [address, _, "pod"] => match address.replace('-', ".").parse() {
                Ok(ip) => Outcome::Answer(self.found(query, vec![Data::A(ip)])),
                Err(_) => Outcome::Answer(self.missing()),
            },
            [rest @ .., service, namespace, "svc"] => {
                match self.services.get(&((*namespace).to_owned(), (*service).to_owned())) {
                    Some(entry) => self.of_service(query, rest, service, namespace, entry),
                    None => Outcome::Answer(self.missing()),
                }
            }
            _ => Outcome::Answer(self.missing()),
        }
    }

    fn of_service(
        &self,
        query: &Query,
        rest: &[&str],
        service: &str,
        namespace: &str,
        entry: &Entry,
    ) -> Outcome {
        if let (Some(target), []) = (&entry.external_name, rest) {
            return self.alias(query, target);
        }
        let data = match rest {
            [] => match entry.cluster_ip {
                Some(ip) => vec![Data::A(ip)],
                None if entry.hosts.is_empty() => return Outcome::Answer(self.missing()),
                None => entry.hosts.values().flatten().map(|ip| Data::A(*ip)).collect(),
            },
            [host] if entry.hosts.contains_key(*host) => {
                entry.hosts[*host].iter().map(|ip| Data::A(*ip)).collect()
            }
            [protocol] if self.has_protocol(entry, protocol) => vec![],
            [port, protocol] => {
                let ports: Vec<&Port> = entry
                    .ports
                    .iter()
                    .filter(|p| {
                        port.strip_prefix('_') == Some(&p.name)
                            && protocol.strip_prefix('_') == Some(&p.protocol)
                    })
                    .collect();
                if ports.is_empty() || (entry.cluster_ip.is_none() && entry.hosts.is_empty()) {
                    return Outcome::Answer(self.missing());
                }
                return Outcome::Answer(self.srv(query, &ports, service, namespace, entry));
            }
            _ => return Outcome::Answer(self.missing()),
        };
        Outcome::Answer(self.found(query, data))
    }

    fn has_protocol(&self, entry: &Entry, label: &str) -> bool {
        entry.ports.iter().any(|p| label.strip_prefix('_') == Some(&p.protocol))
    }

    fn srv(&self, query: &Query, ports: &[&Port], service: &str, namespace: &str, entry: &Entry) -> Response {
        let mut targets = Vec::new();
        if let Some(ip) = entry.cluster_ip {
            targets.push((self.name_of(&[service, namespace, "svc"]), vec![ip]));
        }
        for (host, addresses) in &entry.hosts {
            targets.push((self.name_of(&[host, service, namespace, "svc"]), addresses.clone()));
        }
        let weight = u16::try_from(100 / targets.len().max(1)).unwrap_or(1).max(1);
        let mut data = Vec::new();
        let mut additional = Vec::new();
        for (target, addresses) in targets {
            for port in ports {
                data.push(Data::Srv { priority: 0, weight, port: port.number, target: target.clone() });
            }
            additional.extend(addresses.into_iter().map(|ip| record(&target, Data::A(ip))));
        }
        let mut response = self.found(query, data);
        if !response.answers.is_empty() {
            response.additional = additional;
        }
        response
    }

    /// An ExternalName: inside the cluster the alias is followed here, one step; outside by the caller.
    fn alias(&self, query: &Query, target: &Name) -> Outcome {
        let alias = record(&query.name, Data::Cname(target.clone()));
        if query.qtype == wire::TYPE_CNAME {
            return Outcome::Answer(self.found(query, vec![alias.data]));
        }
        if target.strip_zone(&self.domain).is_none() {
            return Outcome::Follow { answers: vec![alias], target: target.clone() };
        }
        let inner = Query { name: target.clone(), ..query.clone() };
        let labels = target.strip_zone(&self.domain).unwrap_or_default();
        let is_alias_again = matches!(labels, [service, namespace, svc] if svc == "svc"
            && self.services.get(&(namespace.clone(), service.clone())).is_some_and(|e| e.external_name.is_some()));
        let mut response = Response { authoritative: true, ..Response::code(Rcode::NoError) };
        if !is_alias_again && let Outcome::Answer(followed) = self.forward_lookup(&inner, labels) {
            response = followed;
        }
        response.answers.insert(0, alias);
        Outcome::Answer(response)
    }

    fn reverse_lookup(&self, query: &Query, octets: [&str; 4]) -> Outcome {
        let Ok(ip) = octets.join(".").parse::<Ipv4Addr>() else { return Outcome::Forward };
        match self.pointers.get(&ip) {
            Some(name) => Outcome::Answer(self.found(query, vec![Data::Ptr(name.clone())])),
            // The cluster's own ranges are nobody else's business.
            None if matches!(ip.octets(), [10, 244, ..] | [10, 96..=111, ..]) => {
                Outcome::Answer(self.missing())
            }
            None => Outcome::Forward,
        }
    }

    fn apex(&self, query: &Query) -> Response {
        let data = match query.qtype {
            wire::TYPE_SOA => vec![self.soa().data],
            wire::TYPE_NS => vec![Data::Ns(self.name_of(&["ns", "dns"]))],
            _ => vec![],
        };
        self.found(query, data)
    }

    fn localhost(&self, query: &Query) -> Response {
        let data = match query.qtype {
            wire::TYPE_AAAA => Data::Aaaa(std::net::Ipv6Addr::LOCALHOST),
            _ => Data::A(Ipv4Addr::LOCALHOST),
        };
        self.found(query, vec![data])
    }

    /// The name exists; what of `data` has the asked type is the answer, nothing means "no such type".
    fn found(&self, query: &Query, data: Vec<Data>) -> Response {
        let answers: Vec<Record> =
            data.into_iter().filter(|d| asked_for(query.qtype, d)).map(|d| record(&query.name, d)).collect();
        let authority = if answers.is_empty() { vec![self.soa()] } else { vec![] };
        Response { authoritative: true, answers, authority, ..Response::code(Rcode::NoError) }
    }

    fn missing(&self) -> Response {
        Response { authoritative: true, authority: vec![self.soa()], ..Response::code(Rcode::NxDomain) }
    }

    fn soa(&self) -> Record {
        let data = Data::Soa {
            primary: self.name_of(&["ns", "dns"]),
            mailbox: self.name_of(&["hostmaster"]),
            serial: self.serial,
            minimum_s: TTL_S,
        };
        record(&self.domain, data)
    }

    fn name_of(&self, labels: &[&str]) -> Name {
        name_in(&self.domain, labels)
    }
}

fn name_in(domain: &Name, labels: &[&str]) -> Name {
    Name::parse(&format!("{}.{domain}", labels.join(".")))
}

fn record(name: &Name, data: Data) -> Record {
    Record { name: name.clone(), ttl_s: TTL_S, data }
}

fn asked_for(qtype: u16, data: &Data) -> bool {
    let rtype = match data {
        Data::A(_) => wire::TYPE_A,
        Data::Aaaa(_) => wire::TYPE_AAAA,
        Data::Cname(_) => wire::TYPE_CNAME,
        Data::Ns(_) => wire::TYPE_NS,
        Data::Ptr(_) => wire::TYPE_PTR,
        Data::Srv { .. } => wire::TYPE_SRV,
        Data::Txt(_) => wire::TYPE_TXT,
        Data::Soa { .. } => wire::TYPE_SOA,
    };
    qtype == rtype || qtype == wire::TYPE_ANY
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(name: &str, spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
            .unwrap()
    }

    fn slice(service: &str, endpoints: Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"name": format!("{service}-x"), "namespace": "shop",
                         "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "sql", "protocol": "TCP", "port": 5432}],
        }))
        .unwrap()
    }

    fn zone() -> Zone {
        let services = [
            service("web", json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]})),
            service("db", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]})),
            service("idle", json!({"clusterIP": "None"})),
            service("mail", json!({"type": "ExternalName", "externalName": "smtp.example.com"})),
            service("front", json!({"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"})),
            service("ring", json!({"type": "ExternalName", "externalName": "ring.shop.svc.cluster.local"})),
        ];
        let slices = [
            slice(
                "db",
                json!([
                    {"addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": {"ready": true}},
                    {"addresses": ["10.244.0.6"], "conditions": {"ready": true}},
                    {"addresses": ["10.244.0.7"], "hostname": "db-2", "conditions": {"ready": false}},
                ]),
            ),
            slice("web", json!([{"addresses": ["10.244.0.9"]}])),
        ];
        Zone::build("cluster.local", 1, &services, &slices)
    }

    fn show(data: &Data) -> String {
        match data {
            Data::A(ip) => ip.to_string(),
            Data::Srv { port, target, .. } => format!("{target}:{port}"),
            Data::Ptr(name) | Data::Cname(name) | Data::Ns(name) => name.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(name: &str, qtype: u16, expect: &str) {
        let query = wire::parse_query(&Query::encode(1, &Name::parse(name), qtype)).unwrap();
        let shown = match zone().answer(&query) {
            Outcome::Forward => "forward".to_owned(),
            Outcome::Follow { target, .. } => format!("follow {target}"),
            Outcome::Answer(response) => {
                let data: Vec<String> = response.answers.iter().map(|r| show(&r.data)).collect();
                let soa = if response.authority.is_empty() { "" } else { " soa" };
                format!("{:?} {}{soa}", response.rcode, data.join(","))
            }
        };
        assert_eq!(shown, expect, "{name}");
    }

    #[test]
    fn a_service_answers_with_its_cluster_ip() {
        check("web.shop.svc.cluster.local", wire::TYPE_A, "NoError 10.96.0.7");
    }
    #[test]
    fn a_service_has_no_ipv6_address_but_exists() {
        check("web.shop.svc.cluster.local", wire::TYPE_AAAA, "NoError  soa");
    }
    #[test]
    fn a_headless_service_answers_with_its_ready_addresses() {
        check("db.shop.svc.cluster.local", wire::TYPE_A, "NoError 10.244.0.6,10.244.0.5");
    }
    #[test]
    fn a_headless_service_without_addresses_does_not_exist() {
        check("idle.shop.svc.cluster.local", wire::TYPE_A, "NxDomain  soa");
    }
    #[test]
    fn a_pod_of_a_statefulset_has_its_own_name() {
        check("db-0.db.shop.svc.cluster.local", wire::TYPE_A, "NoError 10.244.0.5");
        check("10-244-0-6.db.shop.svc.cluster.local", wire::TYPE_A, "NoError 10.244.0.6");
    }
    #[test]
    fn an_unready_pod_has_no_name() {
        check("db-2.db.shop.svc.cluster.local", wire::TYPE_A, "NxDomain  soa");
    }
    #[test]
    fn ports_are_found_by_srv() {
        check(
            "_http._tcp.web.shop.svc.cluster.local",
            wire::TYPE_SRV,
            "NoError web.shop.svc.cluster.local:80",
        );
        check(
            "_sql._tcp.db.shop.svc.cluster.local",
            wire::TYPE_SRV,
            "NoError 10-244-0-6.db.shop.svc.cluster.local:5432,db-0.db.shop.svc.cluster.local:5432",
        );
        check("_sql._udp.db.shop.svc.cluster.local", wire::TYPE_SRV, "NxDomain  soa");
        check("_tcp.web.shop.svc.cluster.local", wire::TYPE_SRV, "NoError  soa");
    }
    #[test]
    fn addresses_have_names() {
        check("7.0.96.10.in-addr.arpa", wire::TYPE_PTR, "NoError web.shop.svc.cluster.local");
        check("5.0.244.10.in-addr.arpa", wire::TYPE_PTR, "NoError db-0.db.shop.svc.cluster.local");
        check("99.0.244.10.in-addr.arpa", wire::TYPE_PTR, "NxDomain  soa");
        check("8.8.8.8.in-addr.arpa", wire::TYPE_PTR, "forward");
    }
    #[test]
    fn an_external_name_is_an_alias() {
        check("mail.shop.svc.cluster.local", wire::TYPE_A, "follow smtp.example.com");
        check("mail.shop.svc.cluster.local", wire::TYPE_CNAME, "NoError smtp.example.com");
        check("front.shop.svc.cluster.local", wire::TYPE_A, "NoError web.shop.svc.cluster.local,10.96.0.7");
    }
    #[test]
    fn an_alias_of_itself_ends() {
        check("ring.shop.svc.cluster.local", wire::TYPE_A, "NoError ring.shop.svc.cluster.local");
    }
    #[test]
    fn unknown_names_of_the_cluster_are_denied_at_once() {
        check("example.com.shop.svc.cluster.local", wire::TYPE_A, "NxDomain  soa");
        check("nobody.shop.svc.cluster.local", wire::TYPE_A, "NxDomain  soa");
        check("redis.cluster.local", wire::TYPE_A, "NxDomain  soa");
        check("redis", wire::TYPE_A, "NxDomain ");
    }
    #[test]
    fn names_between_the_leaves_exist_without_data() {
        check("shop.svc.cluster.local", wire::TYPE_A, "NoError  soa");
        check("svc.cluster.local", wire::TYPE_A, "NoError  soa");
        check("cluster.local", wire::TYPE_A, "NoError  soa");
    }
    #[test]
    fn pods_have_computed_names() {
        check("10-244-0-9.shop.pod.cluster.local", wire::TYPE_A, "NoError 10.244.0.9");
        check("not-an-ip.shop.pod.cluster.local", wire::TYPE_A, "NxDomain  soa");
    }
    #[test]
    fn other_names_go_to_the_hosts_resolvers() {
        check("example.com", wire::TYPE_A, "forward");
    }
    #[test]
    fn the_host_is_refused_until_it_can_be_reached() {
        check("host.drydock.internal", wire::TYPE_A, "Refused ");
    }
}
