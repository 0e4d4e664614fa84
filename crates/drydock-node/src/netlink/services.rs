//! Services as nftables rules: one table of ours, replaced whole in one transaction.
//!
//! `services` finds the service by address, protocol and port and goes to the service's own chain, where one
//! endpoint is drawn and becomes the destination. A pod that draws itself would see a packet from its own
//! address, so `hairpin` gives such packets the node's. Services without endpoints have no rule: their
//! addresses belong to the node, where nothing listens, so connections are refused.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::Socket;
use super::message::Message;
use crate::protocol::{NODE_IP, Protocol, ServiceRule};

const TABLE: &str = "drydock";
const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
const DESTINATION_NAT_PRIORITY: i32 = -100;
const SOURCE_NAT_PRIORITY: i32 = 100;

/// Registers: the verdict and two values.
const VERDICT: u32 = 0;
const FIRST: u32 = 1;
const SECOND: u32 = 2;

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const SOURCE_ADDRESS: (u32, u32, u32) = (NETWORK_HEADER, 12, 4);
const DESTINATION_ADDRESS: (u32, u32, u32) = (NETWORK_HEADER, 16, 4);
const DESTINATION_PORT: (u32, u32, u32) = (TRANSPORT_HEADER, 2, 2);

/// Replaces every rule of ours by those for `services`.
pub fn apply(socket: &mut Socket, services: &[ServiceRule]) -> io::Result<()> {
    socket.batch(transaction(services))
}

fn transaction(services: &[ServiceRule]) -> Vec<Message> {
    let table = |kind, flags| {
        let mut message = message(kind, flags);
        message.text(1, TABLE);
        message
    };
    let create = libc::NLM_F_CREATE;
    let mut all = vec![
        marker(libc::NFNL_MSG_BATCH_BEGIN as u16),
        // Made first, so that deleting it never fails.
        table(libc::NFT_MSG_NEWTABLE, create),
        table(libc::NFT_MSG_DELTABLE, 0),
        table(libc::NFT_MSG_NEWTABLE, create),
        chain("services", None),
        chain("prerouting", Some((libc::NF_INET_PRE_ROUTING, DESTINATION_NAT_PRIORITY))),
        chain("output", Some((libc::NF_INET_LOCAL_OUT, DESTINATION_NAT_PRIORITY))),
        chain("hairpin", Some((libc::NF_INET_POST_ROUTING, SOURCE_NAT_PRIORITY))),
        rule("prerouting", |list| verdict(list, libc::NFT_JUMP, "services")),
        rule("output", |list| verdict(list, libc::NFT_JUMP, "services")),
    ];
    for (number, service) in services.iter().enumerate().filter(|(_, service)| !service.endpoints.is_empty())
    {
        let name = format!("service-{number}");
        all.push(chain(&name, None));
        all.extend((0..service.endpoints.len()).map(|index| endpoint(&name, service, index)));
        all.push(rule("services", |list| {
            matches(list, service);
            verdict(list, libc::NFT_GOTO, &name);
        }));
    }
    let endpoints: BTreeSet<Ipv4Addr> =
        services.iter().flat_map(|service| service.endpoints.iter().map(|endpoint| *endpoint.ip())).collect();
    all.extend(endpoints.into_iter().map(hairpin));
    if let Some(last) = all.last_mut() {
        last.want_answer();
    }
    all.push(marker(libc::NFNL_MSG_BATCH_END as u16));
    all
}

fn matches(list: &mut Message, service: &ServiceRule) {
    const META_L4PROTO: u32 = 16;
    let protocol = match service.protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    load(list, DESTINATION_ADDRESS);
    equals(list, &service.cluster_ip.octets());
    expression(list, "meta", |meta| {
        meta.number(1, FIRST).number(2, META_L4PROTO);
    });
    equals(list, &[protocol as u8]);
    load(list, DESTINATION_PORT);
    equals(list, &service.port.to_be_bytes());
}

/// The rule that sends a connection to one endpoint. Of those left each has the same chance, so the last
/// takes all that came so far; with affinity the client's address decides instead.
fn endpoint(chain: &str, service: &ServiceRule, index: usize) -> Message {
    let count = service.endpoints.len() as u32;
    let index_number = index as u32;
    rule(chain, |list| {
        if service.affinity {
            load(list, SOURCE_ADDRESS);
            expression(list, "hash", |hash| {
                hash.number(1, FIRST).number(2, FIRST).number(3, 4).number(4, count).number(5, 0);
            });
            equals(list, &index_number.to_ne_bytes());
        } else if index_number + 1 < count {
            const RANDOM: u32 = 1;
            expression(list, "numgen", |draw| {
                draw.number(1, FIRST).number(2, count - index_number).number(3, RANDOM);
            });
            equals(list, &0_u32.to_ne_bytes());
        }
        translate(list, service.endpoints[index]);
    })
}

fn translate(list: &mut Message, endpoint: SocketAddrV4) {
    immediate(list, FIRST, &endpoint.ip().octets());
    immediate(list, SECOND, &endpoint.port().to_be_bytes());
    expression(list, "nat", |nat| {
        nat.number(1, libc::NFT_NAT_DNAT as u32).number(2, libc::NFPROTO_IPV4 as u32);
        nat.number(3, FIRST).number(5, SECOND);
    });
}

fn hairpin(pod: Ipv4Addr) -> Message {
    rule("hairpin", |list| {
        load(list, SOURCE_ADDRESS);
        equals(list, &pod.octets());
        load(list, DESTINATION_ADDRESS);
        equals(list, &pod.octets());
        immediate(list, FIRST, &NODE_IP.octets());
        expression(list, "nat", |nat| {
            nat.number(1, libc::NFT_NAT_SNAT as u32).number(2, libc::NFPROTO_IPV4 as u32).number(3, FIRST);
        });
    })
}

/// A chain, hooked into the packets' way when given a hook and priority.
fn chain(name: &str, hook: Option<(i32, i32)>) -> Message {
    let mut message = message(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE);
    message.text(1, TABLE).text(3, name);
    if let Some((hook, priority)) = hook {
        message.nested(4, |nest| {
            nest.number(1, hook as u32).number(2, priority as u32);
        });
        message.text(7, "nat");
    }
    message
}

fn rule(chain: &str, fill: impl FnOnce(&mut Message)) -> Message {
    let mut message = message(libc::NFT_MSG_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND);
    message.text(1, TABLE).text(2, chain).nested(4, fill);
    message
}

fn expression(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nested(1, |element| {
        element.text(1, name).nested(2, fill);
    });
}

/// Part of a header into the first register.
fn load(list: &mut Message, (base, offset, length): (u32, u32, u32)) {
    expression(list, "payload", |payload| {
        payload.number(1, FIRST).number(2, base).number(3, offset).number(4, length);
    });
}

/// Leaves the rule unless the first register holds `value`.
fn equals(list: &mut Message, value: &[u8]) {
    expression(list, "cmp", |compare| {
        compare.number(1, FIRST).number(2, libc::NFT_CMP_EQ as u32).nested(3, |data| {
            data.attribute(1, value);
        });
    });
}

fn immediate(list: &mut Message, register: u32, value: &[u8]) {
    expression(list, "immediate", |immediate| {
        immediate.number(1, register).nested(2, |data| {
            data.attribute(1, value);
        });
    });
}

fn verdict(list: &mut Message, code: i32, chain: &str) {
    expression(list, "immediate", |immediate| {
        immediate.number(1, VERDICT).nested(2, |data| {
            data.nested(2, |verdict| {
                verdict.number(1, code as u32).text(2, chain);
            });
        });
    });
}

fn message(kind: i32, flags: i32) -> Message {
    Message::new(SUBSYSTEM | kind as u16, flags, &[libc::NFPROTO_IPV4 as u8, 0, 0, 0])
}

/// The beginning or end of a transaction, addressed to nftables.
fn marker(kind: u16) -> Message {
    let [high, low] = (libc::NFNL_SUBSYS_NFTABLES as u16).to_be_bytes();
    Message::new(kind, 0, &[libc::AF_UNSPEC as u8, 0, high, low])
}
