//! Pods reach each other, services and names; nothing else.

use std::net::{Ipv4Addr, SocketAddrV4};

use drydock_node::protocol::{Protocol, SandboxSpec, ServiceRule};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::world::{World, fetch, sandbox, server, world};

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 1, 1);

async fn serve(world: &World, pod: &str, text: &str) -> Ipv4Addr {
    let ip = world.sandbox(pod).await;
    world.start(world.script(pod, pod, &server(8080, text))).await;
    world.until_it_listens(ip, 8080).await;
    ip
}

fn rule(endpoints: &[Ipv4Addr]) -> ServiceRule {
    ServiceRule {
        cluster_ip: SERVICE,
        port: 80,
        protocol: Protocol::Tcp,
        endpoints: endpoints.iter().map(|ip| SocketAddrV4::new(*ip, 8080)).collect(),
        affinity: false,
    }
}

#[tokio::test]
async fn pods_reach_each_other_by_address() {
    let Some(mut world) = world().await else { return };
    let ip = serve(&world, "server", "ahoy").await;
    world.sandbox("client").await;
    let (said, _) = world.run(world.script("c", "client", &fetch(ip, 8080))).await;
    assert_eq!(said, "ahoy\n");
    world.end().await;
}

#[tokio::test]
async fn a_service_leads_to_its_endpoints_and_a_pod_reaches_itself_through_it() {
    let Some(mut world) = world().await else { return };
    let first = serve(&world, "first", "one").await;
    world.client.apply_services(vec![rule(&[first])]).await.unwrap();
    world.sandbox("client").await;
    let (said, _) = world.run(world.script("c", "client", &fetch(SERVICE, 80))).await;
    assert_eq!(said, "one\n");
    let hairpin = world.exec("first", &fetch(SERVICE, 80)).await;
    assert_eq!(String::from_utf8_lossy(&hairpin.output), "one\n");
    world.end().await;
}

#[tokio::test]
async fn connections_are_spread_over_endpoints_and_rules_are_replaced_whole() {
    let Some(mut world) = world().await else { return };
    let (first, second) = (serve(&world, "first", "one").await, serve(&world, "second", "two").await);
    world.client.apply_services(vec![rule(&[first, second])]).await.unwrap();
    world.sandbox("client").await;
    let many = format!("for i in {{1..40}}; do {}; done", fetch(SERVICE, 80));
    let (said, _) = world.run(world.script("c", "client", &many)).await;
    assert_eq!(said.lines().count(), 40);
    assert!(said.contains("one") && said.contains("two"), "{said}");
    world.client.apply_services(vec![rule(&[second])]).await.unwrap();
    let (said, _) = world.run(world.script("d", "client", &many)).await;
    assert_eq!(said, "two\n".repeat(40));
    world.end().await;
}

#[tokio::test]
async fn affinity_keeps_a_client_with_one_endpoint() {
    let Some(mut world) = world().await else { return };
    let (first, second) = (serve(&world, "first", "one").await, serve(&world, "second", "two").await);
    let sticky = ServiceRule { affinity: true, ..rule(&[first, second]) };
    world.client.apply_services(vec![sticky]).await.unwrap();
    world.sandbox("client").await;
    let many = format!("for i in {{1..20}}; do {}; done", fetch(SERVICE, 80));
    let (said, _) = world.run(world.script("c", "client", &many)).await;
    let once = said.lines().next().unwrap();
    assert_eq!(said, format!("{once}\n").repeat(20));
    world.end().await;
}

#[tokio::test]
async fn a_service_without_endpoints_refuses_connections_at_once() {
    let Some(mut world) = world().await else { return };
    world.client.apply_services(vec![rule(&[])]).await.unwrap();
    let said = world.say(&fetch(SERVICE, 80)).await;
    assert!(said.contains("Connection refused"), "{said}");
    world.end().await;
}

#[tokio::test]
async fn a_hundred_services_fit_into_one_replacement() {
    let Some(world) = world().await else { return };
    let ip = serve(&world, "server", "here").await;
    let mut rules: Vec<ServiceRule> = (1..=200)
        .map(|n| ServiceRule { cluster_ip: Ipv4Addr::new(10, 97, 0, n), ..rule(&[ip, ip, ip]) })
        .collect();
    rules.push(rule(&[ip]));
    world.client.apply_services(rules).await.unwrap();
    let said = world.exec("server", &fetch(Ipv4Addr::new(10, 97, 0, 200), 80)).await;
    assert_eq!(String::from_utf8_lossy(&said.output), "here\n");
    world.end().await;
}

#[tokio::test]
async fn the_daemon_reaches_pods_and_services_without_entering() {
    let Some(world) = world().await else { return };
    let ip = serve(&world, "server", "ahoy").await;
    world.client.apply_services(vec![rule(&[ip])]).await.unwrap();
    for (address, port) in [(ip, 8080), (SERVICE, 80)] {
        let stream = world.client.connect_tcp(SocketAddrV4::new(address, port)).await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        assert_eq!(line, "ahoy\n");
    }
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
    let stream = world.client.connect_tcp_in("server", local).await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert_eq!(line, "ahoy\n");
    assert!(world.client.connect_tcp(SocketAddrV4::new(ip, 1)).await.is_err());
    world.end().await;
}

#[tokio::test]
async fn the_daemon_answers_pods_on_service_addresses() {
    let Some(mut world) = world().await else { return };
    let dns = SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 10), 53);
    let udp = world.client.bind_udp(dns).await.unwrap();
    let tcp = world.client.bind_tcp(SocketAddrV4::new(Ipv4Addr::new(10, 96, 0, 1), 443)).await.unwrap();
    let answers = tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
        udp.send_to(&buffer[..length], from).await.unwrap();
        let (mut stream, _) = tcp.accept().await.unwrap();
        stream.write_all(b"api\n").await.unwrap();
    });
    // `read` takes one byte at a time, which would lose the rest of a datagram.
    let script = "exec 3<>/dev/udp/10.96.0.10/53; echo question >&3; head -c 9 <&3; exec 3<&-; \
                  exec 3<>/dev/tcp/10.96.0.1/443; read line <&3; echo $line";
    assert_eq!(world.say(script).await, "question\napi\n");
    answers.await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_pod_knows_its_name_and_servers() {
    let Some(mut world) = world().await else { return };
    let mut spec: SandboxSpec = sandbox("pod");
    spec.dns.nameservers = vec![Ipv4Addr::new(10, 96, 0, 10)];
    spec.dns.searches = vec!["default.svc.cluster.local".to_owned()];
    let ip = world.client.create_sandbox(spec).await.unwrap().ip;
    let (said, _) =
        world.run(world.script("c", "pod", "cat /etc/hostname /etc/resolv.conf /etc/hosts")).await;
    assert!(
        said.starts_with("pod-host\nnameserver 10.96.0.10\nsearch default.svc.cluster.local\n"),
        "{said}"
    );
    assert!(said.contains(&format!("{ip}\tpod-host\n")), "{said}");
    world.end().await;
}

#[tokio::test]
async fn the_host_is_out_of_reach() {
    let Some(mut world) = world().await else { return };
    let host = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let said = world.say(&format!("{} ; echo done", fetch(Ipv4Addr::new(10, 244, 0, 1), port))).await;
    assert!(said.contains("Connection refused") && said.contains("done\n"), "{said}");
    world.end().await;
}

#[tokio::test]
async fn a_removed_pods_address_is_not_the_next_ones() {
    let Some(world) = world().await else { return };
    let first = world.sandbox("a").await;
    world.start(world.script("c", "a", "sleep 100")).await;
    world.client.remove_sandbox("a").await.unwrap();
    assert_eq!(world.client.list().await.unwrap(), Default::default());
    assert_ne!(world.sandbox("b").await, first);
    world.end().await;
}
