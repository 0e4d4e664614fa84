//! Port-forward over SPDY, through the tunnel, and over channels, to a server that echoes.

use std::sync::Arc;

use drydock_streams::forward::{self, About, Connect};
use drydock_streams::spdy::Limits;
use drydock_streams::{Duplex, Transport, channel};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::peer::Peer;

/// Port 7 answers with what it hears once it has heard all, every other port refuses.
fn echo() -> Connect {
    Arc::new(|port| {
        Box::pin(async move {
            if port != 7 {
                return Err("connection refused".to_owned());
            }
            let (here, mut there) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let mut all = Vec::new();
                there.read_to_end(&mut all).await.unwrap();
                there.write_all(&all).await.unwrap();
            });
            Ok(Box::new(here) as Box<dyn Duplex>)
        })
    })
}

fn connect(transport: Transport, ports: Vec<u16>) -> DuplexStream {
    let (here, there) = tokio::io::duplex(8 << 10);
    let about = About { pod: "web".into(), uid: "u1".into() };
    tokio::spawn(forward::serve(there, transport, ports, about, Limits::default(), echo()));
    here
}

async fn open(peer: &mut Peer, error: u32, request: &str, port: &str) {
    peer.open(error, &[("streamtype", "error"), ("port", port), ("requestid", request)]).await;
    peer.data(error, b"", true).await;
    peer.open(error + 2, &[("streamtype", "data"), ("port", port), ("requestid", request)]).await;
}

async fn two_at_once(mut peer: Peer) {
    open(&mut peer, 1, "0", "7").await;
    open(&mut peer, 5, "1", "7").await;
    peer.data(3, b"first", false).await;
    peer.data(7, b"second", true).await;
    peer.until(|peer| peer.ended.contains(&7) && peer.ended.contains(&5)).await;
    assert_eq!(peer.text(7), "second");
    peer.data(3, b"!", true).await;
    peer.until(|peer| peer.ended.contains(&3) && peer.ended.contains(&1)).await;
    assert_eq!((peer.text(3).as_str(), peer.text(1).as_str()), ("first!", ""));
}

#[tokio::test]
async fn connections_over_spdy_do_not_disturb_each_other() {
    two_at_once(Peer::new(connect(Transport::Spdy("portforward.k8s.io"), vec![]))).await;
}

#[tokio::test]
async fn the_same_works_inside_a_websocket() {
    let io = connect(Transport::Tunnel("portforward.k8s.io"), vec![]);
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    let (here, there) = tokio::io::duplex(8 << 10);
    let (mut sink, mut stream) = socket.split();
    let (mut read, mut write) = tokio::io::split(there);
    tokio::spawn(async move {
        let mut piece = vec![0; 1000];
        while let Ok(length @ 1..) = read.read(&mut piece).await {
            sink.send(Message::binary(piece[..length].to_vec())).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(Message::Binary(bytes))) = stream.next().await {
            write.write_all(&bytes).await.unwrap();
        }
    });
    two_at_once(Peer::new(here)).await;
}

#[tokio::test]
async fn a_pod_that_hangs_up_ends_a_connection_whose_client_keeps_its_side_open() {
    let hang_up: Connect = Arc::new(|_| {
        Box::pin(async {
            let (here, mut there) = tokio::io::duplex(1024);
            tokio::spawn(async move { there.write_all(b"bye").await });
            Ok(Box::new(here) as Box<dyn Duplex>)
        })
    });
    let (here, there) = tokio::io::duplex(8 << 10);
    let about = About { pod: "web".into(), uid: "u1".into() };
    let transport = Transport::Spdy("portforward.k8s.io");
    tokio::spawn(forward::serve(there, transport, vec![], about, Limits::default(), hang_up));
    let mut peer = Peer::new(here);
    open(&mut peer, 1, "0", "7").await;
    peer.until(|peer| peer.ended.contains(&3) && peer.ended.contains(&1)).await;
    assert_eq!(peer.text(3), "bye");
}

#[tokio::test]
async fn a_refused_connection_is_told_and_the_others_go_on() {
    let mut peer = Peer::new(connect(Transport::Spdy("portforward.k8s.io"), vec![]));
    open(&mut peer, 1, "0", "80").await;
    peer.until(|peer| peer.ended.contains(&1)).await;
    assert_eq!(peer.text(1), "error forwarding port 80 to pod web, uid u1: connection refused");
    assert!(peer.reset.contains(&3));
    open(&mut peer, 5, "1", "7").await;
    peer.data(7, b"still here", true).await;
    peer.until(|peer| peer.ended.contains(&7)).await;
    assert_eq!(peer.text(7), "still here");
}

#[tokio::test]
async fn a_stream_without_a_port_is_refused() {
    let mut peer = Peer::new(connect(Transport::Spdy("portforward.k8s.io"), vec![]));
    for (stream, port) in [(1, ""), (3, "0"), (5, "65536")] {
        peer.open(stream, &[("streamtype", "data"), ("port", port)]).await;
    }
    assert_eq!(peer.reset, [1, 3, 5]);
}

#[tokio::test]
async fn channels_begin_with_their_port_and_carry_data_and_errors() {
    let io = connect(Transport::Channels(channel::PORT_FORWARD[0]), vec![7, 81]);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
    let mut seen: [Vec<u8>; 4] = Default::default();
    while seen[3].len() < 3 {
        if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
            seen[usize::from(bytes[0])].extend_from_slice(&bytes[1..]);
        }
    }
    assert_eq!((&seen[0], &seen[1]), (&vec![7, 0], &vec![7, 0]));
    let error = String::from_utf8(seen[3][2..].to_vec()).unwrap();
    assert_eq!(error, "error forwarding port 81 to pod web, uid u1: connection refused");
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}
