//! What Kubernetes adds: quantities, addresses, URLs, versions and named formats.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use kubernetes_quantity::Quantity;

use super::eval::Failure;
use super::semver::Semver;
use super::url::Url;
use super::value::{Key, Val};
use crate::custom::formats::Format;
use crate::names;

const NANO: i128 = 1_000_000_000;
const FORMATS: [&str; 11] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
    "dns1123LabelPrefix",
];

pub(super) fn call<'a>(name: &str, args: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    match args.first() {
        Some(Val::Quantity(_)) => quantity(name, args),
        Some(Val::Ip(address)) => ip(name, *address, &args[1..]),
        Some(Val::Cidr(address, bits)) => cidr(name, *address, *bits, &args[1..]),
        Some(Val::Url(url)) => parts_of(name, url),
        Some(Val::Semver(version)) => semver(name, version, &args[1..]),
        Some(Val::Format(format)) => match (name, &args[1..]) {
            ("validate", [Val::Text(text)]) => Some(Ok(validated(format, text))),
            _ => None,
        },
        Some(Val::Text(text)) => parsed(name, text, &args[1..]),
        None => {
            let format = FORMATS.iter().find(|format| name.strip_prefix("format.") == Some(**format))?;
            Some(Ok(Val::Format(format)))
        }
        _ => None,
    }
}

/// Values that are written as texts.
fn parsed<'a>(name: &str, text: &str, rest: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    let or =
        |found: Option<Val<'a>>, why: &str| found.ok_or_else(|| Failure::Error(format!("{why}: {text}")));
    let lenient = matches!(rest, [Val::Bool(true)]);
    Some(match name {
        "quantity" => or(
            Quantity::parse(text).map(|quantity| Val::Quantity(quantity.nano())),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        "isQuantity" => Ok(Val::Bool(Quantity::parse(text).is_some())),
        "ip" => or(address(text).map(Val::Ip), "IP Address was not valid"),
        "isIP" => Ok(Val::Bool(address(text).is_some())),
        "ip.isCanonical" => match address(text) {
            Some(address) => Ok(Val::Bool(address.to_string() == text)),
            None => or(None, "IP Address was not valid"),
        },
        "cidr" => {
            or(network(text).map(|(address, bits)| Val::Cidr(address, bits)), "network address parse error")
        }
        "isCIDR" => Ok(Val::Bool(network(text).is_some())),
        "url" => or(
            Url::parse(text).map(|url| Val::Url(Rc::new(url))),
            "URL parse error during conversion from string",
        ),
        "isURL" => Ok(Val::Bool(Url::parse(text).is_some())),
        "semver" => or(
            Semver::parse(text, lenient).map(|found| Val::Semver(Rc::new(found))),
            "invalid semantic version",
        ),
        "isSemver" => Ok(Val::Bool(Semver::parse(text, lenient).is_some())),
        "format.named" => {
            let found = FORMATS.iter().find(|format| **format == text);
            Ok(Val::Optional(found.map(|format| Rc::new(Val::Format(format)))))
        }
        _ => return None,
    })
}

fn quantity<'a>(name: &str, args: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    let Some(Val::Quantity(own)) = args.first() else { return None };
    let other = match args.get(1) {
        Some(Val::Quantity(other)) => Some(*other),
        Some(Val::Int(other)) => Some(i128::from(*other) * NANO),
        _ => None,
    };
    let is_whole = own % NANO == 0 && i64::try_from(own / NANO).is_ok();
    let big = || Failure::Error("quantity is too large".to_owned());
    Some(match (name, other) {
        ("sign", _) => Ok(Val::Int(own.signum() as i64)),
        ("isInteger", _) => Ok(Val::Bool(is_whole)),
        ("asInteger", _) if is_whole => Ok(Val::Int((own / NANO) as i64)),
        ("asInteger", _) => Err(Failure::Error("cannot convert value to integer".to_owned())),
        ("asApproximateFloat", _) => Ok(Val::Double(*own as f64 / NANO as f64)),
        ("isGreaterThan", Some(other)) => Ok(Val::Bool(*own > other)),
        ("isLessThan", Some(other)) => Ok(Val::Bool(*own < other)),
        ("compareTo", Some(other)) => Ok(compared(own.cmp(&other))),
        ("add", Some(other)) => own.checked_add(other).map(Val::Quantity).ok_or_else(big),
        ("sub", Some(other)) => own.checked_sub(other).map(Val::Quantity).ok_or_else(big),
        _ => return None,
    })
}

fn compared<'a>(order: Ordering) -> Val<'a> {
    Val::Int(order as i64)
}

/// An address without a zone, and none that hides an IPv4 address in an IPv6 one.
fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (host, bits) = text.split_once('/')?;
    let address = address(host)?;
    let plain = !bits.is_empty()
        && bits.bytes().all(|b| b.is_ascii_digit())
        && (bits == "0" || !bits.starts_with('0'));
    let bits = bits.parse::<u8>().ok().filter(|_| plain)?;
    (bits <= width(address)).then_some((address, bits))
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn ip<'a>(name: &str, address: IpAddr, rest: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    if !rest.is_empty() {
        return None;
    }
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_local_multicast = match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    };
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    Some(Ok(match name {
        "family" => Val::Int(if address.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => Val::Bool(address.is_unspecified()),
        "isLoopback" => Val::Bool(address.is_loopback()),
        "isLinkLocalUnicast" => Val::Bool(link_local),
        "isLinkLocalMulticast" => Val::Bool(link_local_multicast),
        "isGlobalUnicast" => Val::Bool(
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || link_local
                || broadcast),
        ),
        _ => return None,
    }))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let shift = u32::from(width(address) - bits);
    let kept = number(address).checked_shr(shift).unwrap_or(0).checked_shl(shift).unwrap_or(0);
    match address {
        IpAddr::V4(_) => IpAddr::V4((kept as u32).into()),
        IpAddr::V6(_) => IpAddr::V6(kept.into()),
    }
}

fn cidr<'a>(name: &str, own: IpAddr, bits: u8, rest: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    let holds =
        |address: IpAddr| address.is_ipv4() == own.is_ipv4() && masked(address, bits) == masked(own, bits);
    let bad = |text: &str| Err(Failure::Error(format!("network address parse error: {text}")));
    Some(match (name, rest) {
        ("containsIP", [Val::Ip(address)]) => Ok(Val::Bool(holds(*address))),
        ("containsIP", [Val::Text(text)]) => match address(text) {
            Some(address) => Ok(Val::Bool(holds(address))),
            None => bad(text),
        },
        ("containsCIDR", [Val::Cidr(address, inner)]) => Ok(Val::Bool(*inner >= bits && holds(*address))),
        ("containsCIDR", [Val::Text(text)]) => match network(text) {
            Some((address, inner)) => Ok(Val::Bool(inner >= bits && holds(address))),
            None => bad(text),
        },
        ("ip", []) => Ok(Val::Ip(own)),
        ("masked", []) => Ok(Val::Cidr(masked(own, bits), bits)),
        ("prefixLength", []) => Ok(Val::Int(i64::from(bits))),
        _ => return None,
    })
}

fn parts_of<'a>(name: &str, url: &Url) -> Option<Result<Val<'a>, Failure>> {
    Some(Ok(match name {
        "getScheme" => Val::text(url.scheme.clone()),
        "getHost" => Val::text(url.host.clone()),
        "getHostname" => Val::text(url.hostname()),
        "getPort" => Val::text(url.port()),
        "getEscapedPath" => Val::text(url.path.clone()),
        "getQuery" => {
            let entry = |(name, values): (String, Vec<String>)| {
                (Key::Text(name), Val::list(values.into_iter().map(Val::text).collect()))
            };
            Val::Map(Rc::new(url.parameters().into_iter().map(entry).collect::<BTreeMap<_, _>>()))
        }
        _ => return None,
    }))
}

fn semver<'a>(name: &str, own: &Semver, rest: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    Some(Ok(match (name, rest) {
        ("major", []) => Val::Int(own.major),
        ("minor", []) => Val::Int(own.minor),
        ("patch", []) => Val::Int(own.patch),
        ("compareTo", [Val::Semver(other)]) => compared(own.order(other)),
        ("isGreaterThan", [Val::Semver(other)]) => Val::Bool(own.order(other).is_gt()),
        ("isLessThan", [Val::Semver(other)]) => Val::Bool(own.order(other).is_lt()),
        _ => return None,
    }))
}

/// Nothing when the text has the format, else the complaints.
fn validated<'a>(format: &str, text: &str) -> Val<'a> {
    let complaint = match format {
        "dns1123Label" | "dns1123LabelPrefix" => names::label(text),
        "dns1123Subdomain" => names::subdomain(text),
        "dns1035Label" => names::label_1035(text),
        "qualifiedName" => names::qualified(text),
        "labelValue" => names::label_value(text),
        other => {
            let known = Format::parse(other);
            known.filter(|known| !known.accepts(text)).map(|known| format!("is not a valid {}", known.name))
        }
    };
    Val::Optional(complaint.map(|complaint| Rc::new(Val::list(vec![Val::text(complaint)]))))
}
