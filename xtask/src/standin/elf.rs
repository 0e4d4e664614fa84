//! Which shared libraries a program or library asks for. Reads 64-bit little-endian ELF and nothing else.

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// The libraries `file` names; none when it is not ELF or is statically linked.
pub fn needed(file: &[u8]) -> Vec<String> {
    read(file).unwrap_or_default()
}

/// The loader `file` wants to be started by.
pub fn interpreter(file: &[u8]) -> Option<String> {
    let (_, _, offset, size, _) = segments(file)?.find(|(kind, ..)| *kind == PT_INTERP)?;
    text(file, offset).filter(|text| (text.len() as u64) < size)
}

fn read(file: &[u8]) -> Option<Vec<String>> {
    let (_, _, offset, size, _) = segments(file)?.find(|(kind, ..)| *kind == PT_DYNAMIC)?;
    let entries =
        (0..size / 16).map(|i| Some((u64_at(file, offset + i * 16)?, u64_at(file, offset + i * 16 + 8)?)));
    let entries: Vec<(u64, u64)> = entries.collect::<Option<_>>()?;
    let (_, table) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?;
    let table = file_offset(file, *table)?;
    entries.iter().filter(|(tag, _)| *tag == DT_NEEDED).map(|(_, name)| text(file, table + name)).collect()
}

/// Kind, address, offset, size in the file, size in memory of each segment.
fn segments(file: &[u8]) -> Option<impl Iterator<Item = (u32, u64, u64, u64, u64)>> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let start = u64_at(file, 32)?;
    let (size, count) = (u64::from(u16_at(file, 54)?), u64::from(u16_at(file, 56)?));
    Some((0..count).filter_map(move |i| {
        let at = start.checked_add(i.checked_mul(size)?)?;
        let field = |offset| u64_at(file, at + offset);
        Some((u32_at(file, at)?, field(16)?, field(8)?, field(32)?, field(40)?))
    }))
}

fn file_offset(file: &[u8], address: u64) -> Option<u64> {
    let mut loaded = segments(file)?.filter(|(kind, ..)| *kind == PT_LOAD);
    let (_, start, offset, ..) =
        loaded.find(|(_, start, _, size, _)| (*start..start + size).contains(&address))?;
    Some(address - start + offset)
}

fn text(file: &[u8], at: u64) -> Option<String> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

fn bytes<const N: usize>(file: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], at: u64) -> Option<u16> {
    bytes(file, at).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], at: u64) -> Option<u32> {
    bytes(file, at).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: u64) -> Option<u64> {
    bytes(file, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_asks_for_the_c_library() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needed(&program).iter().any(|name| name.starts_with("libc.so")), "{:?}", needed(&program));
        assert!(interpreter(&program).unwrap().contains("ld-linux"));
    }

    #[test]
    fn what_is_not_elf_asks_for_nothing() {
        assert!(needed(b"#!/bin/sh\n").is_empty());
        assert!(needed(b"\x7fELF\x02\x01 cut short").is_empty());
        assert_eq!(interpreter(b""), None);
    }
}
