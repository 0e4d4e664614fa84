//! Writes the chart of a folder with a Compose file: `cargo run --example write_chart -- FOLDER TARGET`.
//!
//! For looking at charts while working on them; `seaworthy convert` is the tool for everyone else.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: write_chart FOLDER TARGET".into());
    };
    let request = seaworthy_compose::Request {
        folder: PathBuf::from(folder),
        environment: std::env::vars().collect(),
        ..Default::default()
    };
    let loaded = seaworthy_compose::load(&request).map_err(|error| error.explain())?;
    for dropped in &loaded.dropped {
        eprintln!(
            "{}:{}: `{}` is not carried over: {}",
            dropped.file.display(),
            dropped.line,
            dropped.path,
            dropped.reason
        );
    }
    loaded.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let chart = seaworthy_chart::generate(&loaded.app, &seaworthy_chart::Options::default());
    chart.notes.iter().for_each(|note| eprintln!("{note}"));
    println!("{:#?}", seaworthy_chart::update(&PathBuf::from(target), &chart)?);
    Ok(())
}
