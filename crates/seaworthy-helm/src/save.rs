//! A chart to an archive: the same chart gives the same bytes, whoever packs it and when.
//!
//! Order and content of the entries are Helm's. The time of every entry is `SOURCE_DATE_EPOCH`, else a fixed one.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use serde_json::{Value as Json, json};

use crate::chart::{Chart, Error};
use crate::metadata::Metadata;

/// The first second of 1980: no older time survives every tool.
pub const DEFAULT_TIME_UNIX_S: u64 = 315_532_800;

/// What Helm writes into the header of its archives, by which some tools know them.
const EXTRA: &[u8] = b"rr\x28\x00aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=";

/// The archive's name: `NAME-VERSION.tgz`.
pub fn file_name(metadata: &Metadata) -> String {
    format!("{}-{}.tgz", metadata.name, metadata.version)
}

/// Packs a chart with its subcharts.
pub fn pack(chart: &Chart, time_unix_s: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Pack { chart: chart.name().to_owned(), source };
    let gzip = GzBuilder::new().extra(EXTRA).comment("Helm").mtime(0).operating_system(255);
    let mut tar = tar::Builder::new(gzip.write(Vec::new(), Compression::default()));
    tar.mode(tar::HeaderMode::Deterministic);
    for (path, data) in entries(chart)? {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(time_unix_s);
        tar.append_data(&mut header, &path, data.as_slice()).map_err(failed)?;
    }
    let mut gzip = tar.into_inner().map_err(failed)?;
    gzip.flush().map_err(failed)?;
    gzip.finish().map_err(failed)
}

/// `Chart.yaml` as it is written: keys sorted, empty ones left out.
pub fn chart_yaml(metadata: &Metadata) -> String {
    let mut document = serde_json::to_value(metadata).unwrap_or_default();
    if metadata.api_version == "v1"
        && let Some(map) = document.as_object_mut()
    {
        map.remove("dependencies");
    }
    crate::yaml::write_json(&document).unwrap_or_default()
}

/// Paths and contents in the order of the archive.
fn entries(chart: &Chart) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut all = Vec::new();
    collect(chart, chart.name(), &mut all)?;
    Ok(all)
}

fn collect(chart: &Chart, base: &str, all: &mut Vec<(String, Vec<u8>)>) -> Result<(), Error> {
    let mut add = |name: &str, data: Vec<u8>| all.push((format!("{base}/{name}"), data));
    add("Chart.yaml", chart_yaml(&chart.metadata).into_bytes());
    if chart.metadata.api_version == "v2"
        && let Some(lock) = &chart.lock
    {
        add("Chart.lock", crate::yaml::write_json(&lock_fields(lock)).unwrap_or_default().into_bytes());
    }
    if let Some(values) = &chart.values_text {
        add("values.yaml", values.clone());
    }
    if let Some(schema) = &chart.schema {
        let source = serde_json::from_slice::<serde::de::IgnoredAny>(schema).err();
        if let Some(source) = source {
            return Err(Error::Shape { file: "values.schema.json".into(), source });
        }
        add("values.schema.json", schema.clone());
    }
    for file in chart.templates.iter().chain(&chart.files) {
        add(&file.name, file.data.clone());
    }
    for subchart in &chart.dependencies {
        collect(subchart, &format!("{base}/charts/{}", subchart.name()), all)?;
    }
    Ok(())
}

/// What Helm knows of a lock file; anything else is lost, as it would be there.
fn lock_fields(lock: &Json) -> Json {
    json!({"generated": lock["generated"], "digest": lock["digest"], "dependencies": lock["dependencies"]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::File;
    use crate::limits::Limits;

    fn chart(files: &[(&str, &str)]) -> Chart {
        let file =
            |(name, text): &(&str, &str)| File { name: (*name).into(), data: text.as_bytes().to_vec() };
        Chart::from_files(files.iter().map(file).collect()).unwrap()
    }

    fn web() -> Chart {
        chart(&[
            (
                "Chart.yaml",
                "apiVersion: v2\nversion: 1.0.0\nname: web\ndependencies: [{name: db, version: 1.x.x}]\n",
            ),
            ("values.yaml", "a: 1 # kept\n"),
            ("templates/a.yaml", "a: {{ .Values.a }}\n"),
            ("README.md", "# web\n"),
            ("charts/db/Chart.yaml", "name: db\nversion: 1.2.0\napiVersion: v2\n"),
        ])
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same_chart() {
        let packed = pack(&web(), 5).unwrap();
        assert_eq!(Chart::from_archive("web.tgz", &packed, &Limits::default()).unwrap(), web());
    }

    #[test]
    fn the_same_chart_gives_the_same_bytes() {
        assert_eq!(pack(&web(), 5).unwrap(), pack(&web(), 5).unwrap());
        assert_ne!(pack(&web(), 5).unwrap(), pack(&web(), 6).unwrap());
    }

    #[test]
    fn a_schema_that_is_not_json_is_not_packed() {
        let broken = chart(&[
            ("Chart.yaml", "apiVersion: v2\nversion: 1.0.0\nname: web\n"),
            ("values.schema.json", "{"),
        ]);
        assert!(pack(&broken, 0).unwrap_err().to_string().contains("values.schema.json"));
    }
}
