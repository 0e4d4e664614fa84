//! Exec and attach over SPDY and over WebSocket channels, with a command that echoes.

use drydock_streams::remote::{self, Start, Wanted};
use drydock_streams::spdy::{Frame, Limits};
use drydock_streams::{Outcome, Session, Transport, channel};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::peer::Peer;

const ALL: Wanted = Wanted { stdin: true, stdout: true, stderr: true, tty: false };

/// A command that says its input back, then how much it was on stderr, and ends with `code`.
fn echo(code: i32) -> Start {
    Box::pin(async move {
        let (stdin, mut input) = tokio::io::duplex(1024);
        let (stdout, mut output) = tokio::io::duplex(1024);
        let (stderr, mut errors) = tokio::io::duplex(1024);
        let work = tokio::spawn(async move {
            let copied = tokio::io::copy(&mut input, &mut output).await.unwrap();
            errors.write_all(format!("{copied} bytes\n").as_bytes()).await.unwrap();
        });
        let end = async move {
            work.await.unwrap();
            Outcome::of_code(code)
        };
        Ok(Session {
            stdin: Some(Box::new(stdin)),
            stdout: Some(Box::new(stdout)),
            stderr: Some(Box::new(stderr)),
            resize: None,
            end: Some(Box::pin(end)),
            detaches: false,
        })
    })
}

/// A terminal that says the sizes it was given, and ends after two.
fn sizes() -> Start {
    Box::pin(async {
        let (resize, mut told) = mpsc::channel(4);
        let (stdout, mut output) = tokio::io::duplex(1024);
        let end = async move {
            for _ in 0..2 {
                let (columns, rows): (u16, u16) = told.recv().await.unwrap();
                output.write_all(format!("{columns}x{rows} ").as_bytes()).await.unwrap();
            }
            Outcome::Success
        };
        Ok(Session {
            stdin: None,
            stdout: Some(Box::new(stdout)),
            stderr: None,
            resize: Some(resize),
            end: Some(Box::pin(end)),
            detaches: false,
        })
    })
}

fn connect(transport: Transport, wanted: Wanted, start: Start) -> DuplexStream {
    let (here, there) = tokio::io::duplex(8 << 10);
    tokio::spawn(remote::serve(there, transport, wanted, Limits::default(), start));
    here
}

fn spdy(version: &'static str, wanted: Wanted, start: Start) -> Peer {
    Peer::new(connect(Transport::Spdy(version), wanted, start))
}

async fn open_all(peer: &mut Peer) {
    for (stream, kind) in [(1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")] {
        peer.open(stream, &[("streamtype", kind)]).await;
    }
}

#[tokio::test]
async fn a_command_over_spdy_gets_its_input_and_tells_its_code() {
    let mut peer = spdy("v4.channel.k8s.io", ALL, echo(3));
    open_all(&mut peer).await;
    peer.data(3, b"one ", false).await;
    peer.data(3, b"two", true).await;
    peer.until_over().await;
    assert_eq!((peer.text(5).as_str(), peer.text(7).as_str()), ("one two", "7 bytes\n"));
    let status: serde_json::Value = serde_json::from_str(&peer.text(1)).unwrap();
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["message"], "3");
    let mut ended = peer.ended.clone();
    ended.sort_unstable();
    assert_eq!(ended, [1, 3, 5, 7], "every stream ends by itself");
}

#[tokio::test]
async fn older_protocols_tell_failures_as_text_and_success_as_nothing() {
    for (code, expect) in [(0, ""), (9, "command terminated with exit code 9")] {
        let mut peer = spdy("v2.channel.k8s.io", ALL, echo(code));
        open_all(&mut peer).await;
        peer.data(3, b"", true).await;
        peer.until_over().await;
        assert!(peer.text(1).ends_with(expect) && (code == 0) == peer.text(1).is_empty(), "{}", peer.text(1));
    }
}

#[tokio::test]
async fn a_terminal_over_spdy_is_told_every_size() {
    let wanted = Wanted { stdout: true, tty: true, ..Wanted::default() };
    let mut peer = spdy("v4.channel.k8s.io", wanted, sizes());
    for (stream, kind) in [(1, "error"), (3, "stdout"), (5, "resize")] {
        peer.open(stream, &[("streamtype", kind)]).await;
    }
    peer.data(5, b"{\"Width\":80,\"Height\":24}\n{\"Width\":", false).await;
    peer.data(5, b"100,\"Height\":30}", false).await;
    peer.until_over().await;
    assert_eq!(peer.text(3), "80x24 100x30 ");
}

#[tokio::test]
async fn a_command_that_cannot_be_started_says_why_on_the_error_stream() {
    let start: Start = Box::pin(async { Err("no such program".to_owned()) });
    let mut peer = spdy("v4.channel.k8s.io", ALL, start);
    open_all(&mut peer).await;
    peer.until_over().await;
    assert!(peer.text(1).contains("Internal error occurred: no such program"), "{}", peer.text(1));
}

#[tokio::test]
async fn pings_are_answered_and_unknown_streams_refused() {
    let mut peer = spdy("v4.channel.k8s.io", ALL, echo(0));
    peer.send(Frame::Ping(1)).await;
    peer.until(|peer| peer.others.contains(&Frame::Ping(1))).await;
    peer.open(1, &[("streamtype", "nonsense")]).await;
    peer.data(99, b"lost", false).await;
    peer.until(|peer| peer.reset.contains(&99)).await;
    assert_eq!(peer.reset, [1, 99]);
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_cut_off() {
    let mut peer = spdy("v4.channel.k8s.io", ALL, echo(0));
    peer.raw(&[0x80, 9, 0, 1, 0, 0, 0, 0]).await;
    peer.until_over().await;
    assert!(peer.over);
}

#[tokio::test]
async fn a_peer_that_counts_is_never_sent_more_than_it_has_room_for() {
    let wanted = Wanted { stdout: true, ..Wanted::default() };
    let start: Start = Box::pin(async {
        let (stdout, mut output) = tokio::io::duplex(1024);
        tokio::spawn(async move { output.write_all(&[b'x'; 5000]).await });
        Ok(Session {
            stdin: None,
            stdout: Some(Box::new(stdout)),
            stderr: None,
            resize: None,
            end: None,
            detaches: false,
        })
    });
    let mut peer = spdy("v4.channel.k8s.io", wanted, start);
    peer.send(Frame::Settings(vec![(7, 1000)])).await;
    peer.open(1, &[("streamtype", "error")]).await;
    peer.open(3, &[("streamtype", "stdout")]).await;
    peer.until(|peer| peer.text(3).len() >= 1000).await;
    for room in [2000, 3000, 4000, 5000] {
        assert_eq!(peer.text(3).len(), room - 1000);
        peer.send(Frame::WindowUpdate { stream: 3, delta: 1000 }).await;
        peer.until(|peer| peer.text(3).len() >= room).await;
    }
    peer.until_over().await;
    assert_eq!(peer.text(3).len(), 5000);
}

async fn websocket(name: &str, wanted: Wanted, start: Start) -> WebSocketStream<DuplexStream> {
    let protocol = *channel::REMOTE_COMMAND.iter().find(|one| one.name == name).unwrap();
    let io = connect(Transport::Channels(protocol), wanted, start);
    WebSocketStream::from_raw_socket(io, Role::Client, None).await
}

/// Everything until the end: the channels' bytes, and the code of the goodbye.
async fn rest(socket: &mut WebSocketStream<DuplexStream>) -> ([Vec<u8>; 4], Option<u16>) {
    let mut channels: [Vec<u8>; 4] = Default::default();
    let mut code = None;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) => channels[usize::from(bytes[0])].extend_from_slice(&bytes[1..]),
            Message::Close(frame) => code = frame.map(|frame| frame.code.into()),
            _ => {}
        }
    }
    (channels, code)
}

#[tokio::test]
async fn a_command_over_channels_gets_its_end_of_input_and_a_clean_goodbye() {
    let mut socket = websocket("v5.channel.k8s.io", ALL, echo(0)).await;
    socket.send(Message::binary(b"\x00hello".to_vec())).await.unwrap();
    socket.send(Message::binary(vec![255, 0])).await.unwrap();
    let (channels, code) = rest(&mut socket).await;
    assert_eq!((channels[1].as_slice(), channels[2].as_slice()), (&b"hello"[..], &b"5 bytes\n"[..]));
    let status: serde_json::Value = serde_json::from_slice(&channels[3]).unwrap();
    assert_eq!((status["status"].as_str(), code), (Some("Success"), Some(1000)));
}

#[tokio::test]
async fn a_large_input_comes_back_whole_through_small_buffers() {
    const PIECES: usize = 300;
    let socket = websocket("v5.channel.k8s.io", ALL, echo(0)).await;
    let (mut sink, mut stream) = socket.split();
    let send = async move {
        for number in 0..PIECES {
            let mut piece = vec![number as u8; 10_001];
            piece[0] = 0;
            sink.send(Message::binary(piece)).await.unwrap();
        }
        sink.send(Message::binary(vec![255, 0])).await.unwrap();
    };
    let receive = async move {
        let mut output = Vec::new();
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Binary(bytes) = message
                && bytes[0] == 1
            {
                output.extend_from_slice(&bytes[1..]);
            }
        }
        output
    };
    let ((), output) = tokio::join!(send, receive);
    assert_eq!(output.len(), PIECES * 10_000);
    assert!(
        output.chunks(10_000).enumerate().all(|(number, piece)| piece.iter().all(|b| *b == number as u8))
    );
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_session_with_it() {
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let (told, ended) = tokio::sync::oneshot::channel::<()>();
    let start: Start = Box::pin(async move {
        let (stdin, mut input) = tokio::io::duplex(64);
        tokio::spawn(async move {
            assert_eq!(input.read_u8().await.unwrap(), b'x');
            begin.send(()).unwrap();
            let _ = input.read_to_end(&mut Vec::new()).await;
            told.send(()).unwrap();
        });
        let end = Box::pin(std::future::pending());
        Ok(Session {
            stdin: Some(Box::new(stdin)),
            stdout: None,
            stderr: None,
            resize: None,
            end: Some(end),
            detaches: false,
        })
    });
    let mut socket = websocket("v4.channel.k8s.io", ALL, start).await;
    socket.send(Message::binary(b"\x00x".to_vec())).await.unwrap();
    begun.await.unwrap();
    drop(socket);
    ended.await.unwrap();
}
