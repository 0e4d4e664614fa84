//! The functions of the language itself: sizes, texts, conversions, arithmetic, optional values.
//!
//! Start at [`call`]; a method's target is its first argument. What Kubernetes adds is in `kube`, lists in `lists`.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::eval::{Eval, Failure, no_overload, overflow, unsigned_overflow};
use super::value::Val;
use super::{kube, lists, texts};

/// Names that stand before a function like a value, but are none.
const MODULES: [&str; 9] = ["base64", "cel", "format", "ip", "math", "optional", "semver", "sets", "strings"];

/// Every function there is; an expression with another one is refused when it is written.
pub(super) const NAMES: &[&str] = &[
    "add",
    "asApproximateFloat",
    "asInteger",
    "bool",
    "bytes",
    "charAt",
    "cidr",
    "compareTo",
    "contains",
    "containsCIDR",
    "containsIP",
    "distinct",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "family",
    "find",
    "findAll",
    "first",
    "flatten",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getEscapedPath",
    "getFullYear",
    "getHost",
    "getHostname",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getPort",
    "getQuery",
    "getScheme",
    "getSeconds",
    "hasValue",
    "indexOf",
    "int",
    "ip",
    "isCIDR",
    "isCanonical",
    "isGlobalUnicast",
    "isGreaterThan",
    "isIP",
    "isInteger",
    "isLessThan",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isQuantity",
    "isSemver",
    "isSorted",
    "isURL",
    "isUnspecified",
    "join",
    "last",
    "lastIndexOf",
    "lowerAscii",
    "major",
    "masked",
    "matches",
    "max",
    "min",
    "minor",
    "or",
    "orValue",
    "patch",
    "prefixLength",
    "quantity",
    "quote",
    "range",
    "replace",
    "reverse",
    "semver",
    "sign",
    "size",
    "slice",
    "sort",
    "split",
    "startsWith",
    "string",
    "sub",
    "substring",
    "sum",
    "timestamp",
    "trim",
    "type",
    "uint",
    "unwrap",
    "unwrapOpt",
    "upperAscii",
    "url",
    "validate",
    "value",
];

pub(super) fn is_module(name: &str) -> bool {
    MODULES.contains(&name)
}

/// Types as values: `type(x) == int`.
pub(super) fn type_named(name: &str) -> Option<&'static str> {
    const TYPES: [&str; 11] = [
        "bool",
        "bytes",
        "double",
        "int",
        "list",
        "map",
        "null_type",
        "optional_type",
        "string",
        "type",
        "uint",
    ];
    TYPES.into_iter().find(|known| *known == name)
}

/// The text of a simple value, without quotes.
pub(super) fn plain(value: &Val<'_>) -> String {
    match value {
        Val::Text(text) => text.to_string(),
        Val::Bool(value) => value.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => value.to_string(),
        Val::Double(value) => value.to_string(),
        Val::Null => "null".to_owned(),
        Val::Time(time) => time.to_string(),
        Val::Duration(span) => texts::seconds(span),
        Val::Ip(address) => address.to_string(),
        Val::Cidr(address, bits) => format!("{address}/{bits}"),
        Val::Url(url) => url.text.clone(),
        Val::Type(name) => (*name).to_owned(),
        other => other.type_name().to_owned(),
    }
}

pub(super) fn call<'a>(eval: &mut Eval<'a, '_>, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    eval.spend(args.iter().map(Val::weight).sum())?;
    let found = basic(name, args)
        .or_else(|| texts::call(eval, name, args))
        .or_else(|| lists::call(eval, name, args))
        .or_else(|| kube::call(name, args));
    found.unwrap_or_else(no_overload)
}

fn error<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Error(why.into()))
}

fn basic<'a>(name: &str, args: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    Some(match (name, args) {
        ("size", [of]) => Ok(Val::Int(of.size()? as i64)),
        ("dyn", [value]) => Ok(value.clone()),
        ("type", [value]) => Ok(Val::Type(value.type_name())),
        ("bool", [value]) => match value {
            Val::Bool(value) => Ok(Val::Bool(*value)),
            Val::Text(text) => match text.as_ref() {
                "true" | "True" | "TRUE" | "t" | "1" => Ok(Val::Bool(true)),
                "false" | "False" | "FALSE" | "f" | "0" => Ok(Val::Bool(false)),
                _ => error("type conversion error from 'string' to 'bool'"),
            },
            _ => return None,
        },
        ("int", [value]) => int(value)?,
        ("uint", [value]) => uint(value)?,
        ("double", [value]) => double(value)?,
        ("string", [value]) => string(value)?,
        ("bytes", [Val::Text(text)]) => Ok(Val::Bytes(text.as_bytes().into())),
        ("bytes", [Val::Bytes(bytes)]) => Ok(Val::Bytes(bytes.clone())),
        ("duration", [Val::Duration(span)]) => Ok(Val::Duration(*span)),
        ("duration", [Val::Text(text)]) => match go_duration::parse(text) {
            Some(nanos) => Ok(Val::Duration(SignedDuration::from_nanos(nanos))),
            None => error("type conversion error from 'string' to 'google.protobuf.Duration'"),
        },
        ("timestamp", [Val::Time(time)]) => Ok(Val::Time(*time)),
        ("timestamp", [Val::Int(seconds)]) => match Timestamp::from_second(*seconds) {
            Ok(time) => Ok(Val::Time(time)),
            Err(_) => error("timestamp overflow"),
        },
        ("timestamp", [Val::Text(text)]) => match text.parse() {
            Ok(time) => Ok(Val::Time(time)),
            Err(_) => error("type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        },
        ("optional.of", [value]) => Ok(Val::Optional(Some(Rc::new(value.clone())))),
        ("optional.none", []) => Ok(Val::Optional(None)),
        ("optional.ofNonZeroValue", [value]) => {
            Ok(Val::Optional((!is_zero(value)).then(|| Rc::new(value.clone()))))
        }
        ("hasValue", [Val::Optional(inner)]) => Ok(Val::Bool(inner.is_some())),
        ("value", [Val::Optional(inner)]) => match inner {
            Some(inner) => Ok(inner.as_ref().clone()),
            None => error("optional.none() dereference"),
        },
        ("orValue", [Val::Optional(inner), other]) => Ok(inner.as_deref().unwrap_or(other).clone()),
        ("or", [Val::Optional(inner), other]) => match inner {
            Some(_) => Ok(Val::Optional(inner.clone())),
            None => Ok(other.clone()),
        },
        _ => return instant(name, args),
    })
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) => true,
        Val::Double(value) => *value == 0.0,
        other => other.size() == Some(0),
    }
}

fn int<'a>(value: &Val<'a>) -> Option<Result<Val<'a>, Failure>> {
    let whole = match value {
        Val::Int(value) => Some(*value),
        Val::Uint(value) => i64::try_from(*value).ok(),
        Val::Double(value) => (value.abs() < i64::MAX as f64).then_some(*value as i64),
        Val::Time(time) => Some(time.as_second()),
        Val::Duration(span) => i64::try_from(span.as_nanos()).ok(),
        Val::Text(text) => match text.parse() {
            Ok(value) => Some(value),
            Err(_) => return Some(error("type conversion error from 'string' to 'int'")),
        },
        _ => return None,
    };
    Some(whole.map(Val::Int).ok_or_else(overflow))
}

fn uint<'a>(value: &Val<'a>) -> Option<Result<Val<'a>, Failure>> {
    let whole = match value {
        Val::Int(value) => u64::try_from(*value).ok(),
        Val::Uint(value) => Some(*value),
        Val::Double(value) => (*value >= 0.0 && *value < u64::MAX as f64).then_some(*value as u64),
        Val::Text(text) => match text.parse() {
            Ok(value) => Some(value),
            Err(_) => return Some(error("type conversion error from 'string' to 'uint'")),
        },
        _ => return None,
    };
    Some(whole.map(Val::Uint).ok_or_else(unsigned_overflow))
}

fn double<'a>(value: &Val<'a>) -> Option<Result<Val<'a>, Failure>> {
    Some(Ok(Val::Double(match value {
        Val::Int(value) => *value as f64,
        Val::Uint(value) => *value as f64,
        Val::Double(value) => *value,
        Val::Text(text) => match text.parse() {
            Ok(value) => value,
            Err(_) => return Some(error("type conversion error from 'string' to 'double'")),
        },
        _ => return None,
    })))
}

fn string<'a>(value: &Val<'a>) -> Option<Result<Val<'a>, Failure>> {
    Some(match value {
        Val::Text(text) => Ok(Val::Text(text.clone())),
        Val::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Val::text(text)),
            Err(_) => error("invalid UTF-8 in bytes, cannot convert to string"),
        },
        Val::List(_) | Val::Items(..) | Val::Map(_) | Val::Object(..) | Val::Optional(_) | Val::Null => {
            return None;
        }
        other => Ok(Val::text(plain(other))),
    })
}

/// What times and spans of time consist of.
fn instant<'a>(name: &str, args: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    if let (Some(Val::Duration(span)), 1) = (args.first(), args.len()) {
        return Some(Ok(Val::Int(match name {
            "getHours" => span.as_secs() / 3600,
            "getMinutes" => span.as_secs() / 60,
            "getSeconds" => span.as_secs(),
            "getMilliseconds" => i64::from(span.subsec_millis()),
            _ => return None,
        })));
    }
    let (time, zone) = match args {
        [Val::Time(time)] => (time, "UTC"),
        [Val::Time(time), Val::Text(zone)] => (time, zone.as_ref()),
        _ => return None,
    };
    if !name.starts_with("get") {
        return None;
    }
    let Some(zone) = zone_named(zone) else { return Some(error(format!("unknown time zone {zone}"))) };
    let local = time.to_zoned(zone);
    Some(Ok(Val::Int(match name {
        "getFullYear" => i64::from(local.year()),
        "getMonth" => i64::from(local.month()) - 1,
        "getDate" => i64::from(local.day()),
        "getDayOfMonth" => i64::from(local.day()) - 1,
        "getDayOfWeek" => i64::from(local.weekday().to_sunday_zero_offset()),
        "getDayOfYear" => i64::from(local.day_of_year()) - 1,
        "getHours" => i64::from(local.hour()),
        "getMinutes" => i64::from(local.minute()),
        "getSeconds" => i64::from(local.second()),
        "getMilliseconds" => i64::from(local.millisecond()),
        _ => return None,
    })))
}

/// UTC or a fixed offset; names of places need a database that we do not carry.
fn zone_named(name: &str) -> Option<TimeZone> {
    if matches!(name, "" | "UTC" | "Z") {
        return Some(TimeZone::UTC);
    }
    let (sign, rest) = match name.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let seconds = sign * (hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60);
    jiff::tz::Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}

/// Whole numbers of either type: what does not fit is an error, never a wrapped result.
macro_rules! checked {
    ($sign:ident, $a:ident, $b:ident, $wrap:path, $overflow:path) => {{
        let result = match $sign {
            "+" => $a.checked_add(*$b),
            "-" => $a.checked_sub(*$b),
            "*" => $a.checked_mul(*$b),
            "/" if *$b == 0 => return error("division by zero"),
            "/" => $a.checked_div(*$b),
            _ if *$b == 0 => return error("modulus by zero"),
            _ => $a.checked_rem(*$b),
        };
        result.map($wrap).ok_or_else($overflow)
    }};
}

pub(super) fn arithmetic<'a>(sign: &str, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Failure> {
    match (sign, a, b) {
        (_, Val::Int(a), Val::Int(b)) => checked!(sign, a, b, Val::Int, overflow),
        (_, Val::Uint(a), Val::Uint(b)) => checked!(sign, a, b, Val::Uint, unsigned_overflow),
        (_, Val::Double(a), Val::Double(b)) if sign != "%" => Ok(Val::Double(match sign {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a / b,
        })),
        ("+", Val::Text(a), Val::Text(b)) => Ok(Val::text(format!("{a}{b}"))),
        ("+", Val::Bytes(a), Val::Bytes(b)) => Ok(Val::Bytes(a.iter().chain(b.iter()).copied().collect())),
        ("+", Val::List(_) | Val::Items(..), Val::List(_) | Val::Items(..)) => {
            let (left, right) = (a.items().unwrap_or_default(), b.items().unwrap_or_default());
            Ok(Val::list(left.into_iter().chain(right).collect()))
        }
        ("+", Val::Duration(a), Val::Duration(b)) => {
            a.checked_add(*b).map(Val::Duration).ok_or_else(overflow)
        }
        ("-", Val::Duration(a), Val::Duration(b)) => {
            a.checked_sub(*b).map(Val::Duration).ok_or_else(overflow)
        }
        ("+", Val::Time(time), Val::Duration(span)) | ("+", Val::Duration(span), Val::Time(time)) => {
            time.checked_add(*span).map(Val::Time).map_err(|_| overflow())
        }
        ("-", Val::Time(time), Val::Duration(span)) => {
            time.checked_sub(*span).map(Val::Time).map_err(|_| overflow())
        }
        ("-", Val::Time(a), Val::Time(b)) => Ok(Val::Duration(a.duration_since(*b))),
        _ => no_overload(),
    }
}
