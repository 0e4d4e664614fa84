//! What has to be fetched and kept: the program, and the images of the app.

use std::fs;

use anyhow::Context;
use seaworthy_image::ImageStore;

use super::table::{Aim, Table};
use super::world::World;

const IMAGE: Aim = Aim::below(25.0, "MB");

pub fn measure(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let store = ImageStore::open(world.images())?;
    for image in store.list()? {
        // Redis and PostgreSQL are as large as others make them.
        let aim = image.name.contains("todo-").then_some(IMAGE);
        let name = image.name.rsplit('/').next().unwrap_or(&image.name);
        let megabytes = image.size_bytes() as f64 / 1e6;
        match aim {
            Some(aim) => table.add(&format!("image {name}"), Some(aim), &[megabytes]),
            None => table.add_in(&format!("image {name}"), "MB", &[megabytes]),
        }
    }
    let program = fs::metadata(world.seaworthy()).context("cannot weigh the program")?;
    table.add_in("the program `seaworthy`, release", "MB", &[program.len() as f64 / 1e6]);
    Ok(())
}
