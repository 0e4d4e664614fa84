//! Loads a chart once and renders it again and again: milliseconds of each round, for `cargo xtask bench template`.
//!
//! `cargo run --release -p seaworthy-helm --example measure -- charts/todo 50`

use std::error::Error;
use std::time::Instant;

use seaworthy_helm::{Chart, RenderOptions, Values, render};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("the folder of a chart is missing")?;
    let rounds: usize = arguments.next().ok_or("the number of rounds is missing")?.parse()?;
    let chart = Chart::load(folder)?;
    for _ in 0..rounds {
        let since = Instant::now();
        let rendered = render(&chart, &Values::new(), &RenderOptions::install("rel", "ns"))?;
        std::hint::black_box(rendered.template_output());
        println!("{:.3}", since.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(())
}
