//! Damaged and forged archives end in a chart or an error, within the bounds on what may be unpacked.

use std::io::{Read as _, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use seaworthy_helm::{Chart, Limits, save};

fn packed() -> Vec<u8> {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/shop");
    save::pack(&Chart::load(shop).unwrap(), 0).unwrap()
}

fn unpacked() -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(&packed()[..]).read_to_end(&mut tar).unwrap();
    tar
}

fn repacked(tar: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(tar).unwrap();
    out.finish().unwrap()
}

/// Panics of the reader fail the test; what it takes for a chart must keep to the bounds.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    let limits = Limits { chart_bytes: 1 << 20, chart_files: 200, ..Limits::default() };
    if let Ok(chart) = Chart::from_archive("shop.tgz", bytes, &limits) {
        prop_assert!(!chart.metadata.name.is_empty());
    }
    Ok(())
}

/// Places in the archive and what stands there instead.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)
}

fn spoil(bytes: &mut Vec<u8>, damage: &[(prop::sample::Index, u8)], length: prop::sample::Index, cut: bool) {
    for (place, byte) in damage {
        let place = place.index(bytes.len());
        bytes[place] = *byte;
    }
    if cut {
        bytes.truncate(length.index(bytes.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_archive_is_a_chart_or_an_error(damage in damage(), length: prop::sample::Index, cut: bool) {
        let mut bytes = packed();
        spoil(&mut bytes, &damage, length, cut);
        read(&bytes)?;
    }

    #[test]
    fn a_forged_archive_is_a_chart_or_an_error(damage in damage(), length: prop::sample::Index, cut: bool) {
        let mut tar = unpacked();
        spoil(&mut tar, &damage, length, cut);
        read(&repacked(&tar))?;
    }

    #[test]
    fn the_heads_of_entries_may_say_anything(entry in 0usize..8, offset in 0usize..512, bytes in prop::collection::vec(any::<u8>(), 1..40)) {
        let mut tar = unpacked();
        let start = entry * 512 + offset;
        let end = (start + bytes.len()).min(tar.len());
        tar[start..end].copy_from_slice(&bytes[..end - start]);
        read(&repacked(&tar))?;
    }
}

#[test]
fn an_undamaged_archive_is_the_chart() {
    let chart = Chart::from_archive("shop.tgz", &repacked(&unpacked()), &Limits::default()).unwrap();
    assert_eq!(chart.metadata.name, "shop");
}
