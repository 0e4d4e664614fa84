//! Frames survive the way there and back, in any pieces; anything else is refused without a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn headers() -> impl Strategy<Value = Headers> {
    vec(("[a-z-]{1,12}", "[ -~]{0,40}"), 0..8).prop_map(Headers)
}

fn frame() -> impl Strategy<Value = Frame> {
    let id = 0u32..(1 << 31);
    prop_oneof![
        (id.clone(), any::<bool>(), any::<bool>(), headers()).prop_map(
            |(stream, fin, unidirectional, headers)| {
                Frame::SynStream { stream, fin, unidirectional, headers }
            }
        ),
        (id.clone(), any::<bool>(), headers()).prop_map(|(stream, fin, headers)| Frame::SynReply {
            stream,
            fin,
            headers
        }),
        (id.clone(), any::<bool>(), headers()).prop_map(|(stream, fin, headers)| Frame::Headers {
            stream,
            fin,
            headers
        }),
        (id.clone(), any::<u32>()).prop_map(|(stream, status)| Frame::Reset { stream, status }),
        vec((0u32..(1 << 24), any::<u32>()), 0..5).prop_map(Frame::Settings),
        any::<u32>().prop_map(Frame::Ping),
        (id.clone(), any::<u32>()).prop_map(|(last_good, status)| Frame::GoAway { last_good, status }),
        (id.clone(), id.clone()).prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
        (id, any::<bool>(), vec(any::<u8>(), 0..200)).prop_map(|(stream, fin, bytes)| Frame::Data {
            stream,
            fin,
            bytes: bytes.into()
        }),
    ]
}

fn encode(frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    let mut encoder = Encoder::default();
    frames.iter().for_each(|frame| encoder.encode(frame, &mut out).unwrap());
    out
}

/// Pieces of one data frame put together again.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut whole: Vec<Frame> = Vec::new();
    let mut open = false;
    for frame in frames {
        let Frame::Data { stream, fin, bytes } = &frame else {
            open = false;
            whole.push(frame);
            continue;
        };
        match whole.last_mut() {
            Some(Frame::Data { stream: known, fin: last, bytes: before })
                if open && known == stream && !*last =>
            {
                *before = [before.as_ref(), bytes.as_ref()].concat().into();
                *last = *fin;
            }
            _ => whole.push(frame),
        }
        open = true;
    }
    whole
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(frames in vec(frame(), 0..12)) {
        prop_assert_eq!(joined(decode(&encode(&frames)).unwrap()), joined(frames));
    }

    #[test]
    fn pieces_make_the_same_frames_as_the_whole(frames in vec(frame(), 1..6), size in 1usize..40) {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for piece in encode(&frames).chunks(size) {
            decoder.push(piece);
            while let Some(frame) = decoder.next_frame().unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(joined(seen), joined(frames));
    }

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_frames_never_panic(frames in vec(frame(), 1..6), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = encode(&frames).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = decode(&bytes);
    }
}

#[test]
fn every_cut_between_two_bytes_gives_the_same_frames() {
    let frames = [
        Frame::SynStream {
            stream: 1,
            fin: false,
            unidirectional: false,
            headers: Headers(vec![("streamtype".into(), "error".into())]),
        },
        Frame::Data { stream: 1, fin: true, bytes: Bytes::from_static(b"all there is") },
        Frame::Ping(7),
    ];
    let bytes = encode(&frames);
    for cut in 0..=bytes.len() {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            decoder.push(part);
            while let Some(frame) = decoder.next_frame().unwrap() {
                seen.push(frame);
            }
        }
        assert_eq!(joined(seen), frames, "cut at {cut}");
    }
}

#[test]
fn the_end_of_data_comes_with_its_last_piece_only() {
    let mut decoder = Decoder::default();
    let bytes = encode(&[Frame::Data { stream: 5, fin: true, bytes: Bytes::from_static(b"ab") }]);
    decoder.push(&bytes[..9]);
    let first = decoder.next_frame().unwrap().unwrap();
    assert_eq!(first, Frame::Data { stream: 5, fin: false, bytes: Bytes::from_static(b"a") });
    assert_eq!(decoder.next_frame().unwrap(), None);
    decoder.push(&bytes[9..]);
    let second = decoder.next_frame().unwrap().unwrap();
    assert_eq!(second, Frame::Data { stream: 5, fin: true, bytes: Bytes::from_static(b"b") });
}

#[track_caller]
fn check_refused(bytes: &[u8], expect: Error) {
    assert_eq!(decode(bytes).unwrap_err(), expect);
}

#[test]
fn what_cannot_be_a_frame_is_refused_before_it_has_arrived() {
    check_refused(&[0x80, 3, 0, 1, 0, 1, 0, 1], Error::TooLong(0x1_0001));
    check_refused(&[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1], Error::Version(2));
    check_refused(&[0x80, 3, 0, 6, 0, 0, 0, 2, 0, 1], Error::TooShort);
    check_refused(&[0x80, 3, 0, 1, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9, 9], Error::Compression);
}

#[test]
fn a_control_frame_of_an_unknown_kind_is_passed_over() {
    let mut bytes = vec![0x80, 3, 0, 99, 0, 0, 0, 3, 1, 2, 3];
    bytes.extend_from_slice(&encode(&[Frame::Ping(1)]));
    assert_eq!(decode(&bytes).unwrap(), [Frame::Ping(1)]);
}
