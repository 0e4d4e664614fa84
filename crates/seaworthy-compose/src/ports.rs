//! `ports` and `expose`, in their short and long forms.

use seaworthy_app::{Port, Protocol};

use crate::error::Result;
use crate::node::{Node, Value};
use crate::section::{Key, Section, bad_value, carried, dropped, text};
use crate::top::Cx;

const KEYS: &[Key] = &[
    carried("target"),
    carried("published"),
    carried("protocol"),
    carried("name"),
    carried("app_protocol"),
    carried("host_ip"),
    dropped("mode", "the cluster balances between pods"),
];

/// A range may not be longer.
const MAX_RANGE: u16 = 100;

const FORM: &str = "a port such as `8080:80`, `80`, `127.0.0.1:8080:80` or `53:53/udp`";

pub fn read(cx: &mut Cx<'_>, own: &Section<'_>) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    for node in own.list("ports")? {
        let path = own.below("ports");
        match &node.value {
            Value::Map(_) => ports.push(long(cx, node, path)?),
            _ => {
                let stated = text(node, &path)?;
                match short(stated) {
                    Some(found) => ports.extend(found),
                    None => return bad_value(node, path, FORM, stated),
                }
            }
        }
    }
    for node in own.list("expose")? {
        let path = own.below("expose");
        let stated = text(node, &path)?;
        let Some((range, protocol)) = with_protocol(stated).and_then(|(text, p)| Some((range(text)?, p)))
        else {
            return bad_value(node, path, "a port such as `80` or `53/udp`", stated);
        };
        for container in range {
            if !ports.iter().any(|port| port.container == container && port.protocol == protocol) {
                ports.push(Port { container, protocol, ..Port::default() });
            }
        }
    }
    Ok(ports)
}

fn long(cx: &mut Cx<'_>, node: &Node, path: String) -> Result<Port> {
    let section = Section::new(node, path)?;
    section.account(KEYS, cx.report)?;
    let Some(container) = section.parsed("target", "a port number", number)? else {
        return bad_value(node, section.below("target"), "the container's port", "missing");
    };
    let protocol = section.parsed("protocol", "`tcp`, `udp` or `sctp`", protocol)?.unwrap_or_default();
    Ok(Port {
        container,
        published: section.parsed("published", "a port number", number)?,
        is_published: true,
        host_ip: section.text("host_ip")?,
        protocol,
        name: section.text("name")?.map(|name| crate::scalars::dns_label(&name)).map(|mut name| {
            name.truncate(15);
            name.trim_end_matches('-').to_owned()
        }),
        app_protocol: section.text("app_protocol")?,
    })
}

/// `[ip:][host:]container[/protocol]`, where both ports may be ranges of one length.
fn short(stated: &str) -> Option<Vec<Port>> {
    let (address, protocol) = with_protocol(stated)?;
    let (before, container) = match address.rsplit_once(':') {
        Some((before, container)) => (Some(before), container),
        None => (None, address),
    };
    let (host_ip, published) = match before {
        None => (None, None),
        Some(before) => match before.rsplit_once(':') {
            Some((ip, published)) => (Some(ip.trim_matches(['[', ']'])), Some(published)),
            None => (None, Some(before)),
        },
    };
    let containers = range(container)?;
    let published: Vec<Option<u16>> = match published.filter(|text| !text.is_empty()) {
        None => containers.clone().map(|_| None).collect(),
        Some(text) => range(text)?.map(Some).collect(),
    };
    if published.len() != containers.len() {
        return None;
    }
    let port = |(container, published)| Port {
        container,
        published,
        is_published: true,
        host_ip: host_ip.map(str::to_owned),
        protocol,
        ..Port::default()
    };
    Some(containers.zip(published).map(port).collect())
}

fn with_protocol(stated: &str) -> Option<(&str, Protocol)> {
    match stated.split_once('/') {
        None => Some((stated, Protocol::Tcp)),
        Some((address, name)) => Some((address, protocol(name)?)),
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

fn range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last - first < MAX_RANGE).then_some(first..=last)
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stated: &str, expect: &str) {
        let shown = short(stated).map_or("refused".to_owned(), |ports| {
            let show = |port: &Port| {
                let published = port.published.map_or("-".to_owned(), |published| published.to_string());
                let ip = port.host_ip.as_deref().unwrap_or("*");
                format!("{ip}:{published}>{}{:?}", port.container, port.protocol)
            };
            ports.iter().map(show).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(shown, expect, "{stated}");
    }

    #[test]
    fn all_short_forms_are_read() {
        check("80", "*:->80Tcp");
        check("8080:80", "*:8080>80Tcp");
        check("127.0.0.1:8080:80", "127.0.0.1:8080>80Tcp");
        check("127.0.0.1::80", "127.0.0.1:->80Tcp");
        check("[::1]:8080:80", "::1:8080>80Tcp");
        check("53:53/udp", "*:53>53Udp");
        check("3000-3001:4000-4001", "*:3000>4000Tcp *:3001>4001Tcp");
    }

    #[test]
    fn what_is_no_port_is_refused() {
        check("web", "refused");
        check("80:0", "refused");
        check("70000", "refused");
        check("1-2:80", "refused");
        check("1-60000", "refused");
        check("80/quic", "refused");
    }
}
