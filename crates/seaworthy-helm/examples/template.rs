//! Prints a chart as `helm template RELEASE FOLDER -n NAMESPACE` prints it.
//!
//! `cargo run -p seaworthy-helm --example template -- todo charts/todo default`

use std::error::Error;

use seaworthy_helm::{Chart, RenderOptions, Values, render};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| format!("the {what} is missing"));
    let (release, folder, namespace) = (next("release")?, next("folder")?, next("namespace")?);
    let chart = Chart::load(folder)?;
    match render(&chart, &Values::new(), &RenderOptions::install(release, namespace)) {
        Ok(rendered) => print!("{}", rendered.template_output()),
        Err(error) => {
            let cause = error.source().map(|cause| format!("\n  because: {cause}")).unwrap_or_default();
            return Err(format!("{error}{cause}").into());
        }
    }
    Ok(())
}
