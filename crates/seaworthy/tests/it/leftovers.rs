//! What an engine has on the host while it runs, and whether any of it is left when it has stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::until;
use crate::world::World;

const NAMESPACES: [&str; 4] = ["net", "mnt", "pid", "ipc"];
const LINKS: &str = "/sys/class/net";
const CGROUPS: &str = "/sys/fs/cgroup";

/// Everything of one running engine that a host could be left with.
pub struct Traces {
    pub processes: BTreeSet<i32>,
    pub namespaces: BTreeSet<PathBuf>,
    pub cgroups: BTreeSet<PathBuf>,
    /// The host's links before the engine ran.
    links: BTreeSet<PathBuf>,
}

pub fn links() -> BTreeSet<PathBuf> {
    fs::read_dir(LINKS).unwrap().map(|entry| entry.unwrap().path()).collect()
}

impl Traces {
    /// Looks at the engine of `world`, which runs containers; `links` are the host's from before.
    pub fn of(world: &World, links: BTreeSet<PathBuf>) -> Traces {
        let node = world.drydock_folder().join("node");
        let parents = parents();
        let is_node = |pid: &&i32| command_line(**pid).contains(node.to_str().unwrap());
        let mut processes: BTreeSet<i32> = parents.keys().filter(is_node).copied().collect();
        processes.insert(world.daemon());
        // Containers descend from the node; a few rounds reach the deepest.
        while let Some((pid, _)) =
            parents.iter().find(|(pid, parent)| processes.contains(parent) && !processes.contains(pid))
        {
            processes.insert(*pid);
        }
        let namespaces = processes.iter().flat_map(|pid| own_namespaces(*pid)).collect();
        let cgroups = processes.iter().flat_map(|pid| cgroups(*pid)).collect();
        Traces { processes, namespaces, cgroups, links }
    }

    /// Nothing of it is there any more, once the kernel has cleared up.
    pub fn are_gone(&self, world: &World) {
        until("nothing of the engine is left", || match self.left(world) {
            left if left.is_empty() => Ok(()),
            left => Err(left.join("\n")),
        });
    }

    fn left(&self, world: &World) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let home = world.home();
        let mounts = mounts
            .lines()
            .filter(|line| line.contains(home.to_str().unwrap()))
            .map(|line| format!("mount {line}"));
        let processes = parents()
            .into_keys()
            .filter(|pid| self.is_of_it(*pid))
            .map(|pid| format!("process {pid}: {}", command_line(pid)));
        let cgroups = self
            .cgroups
            .iter()
            .filter(|folder| folder.exists())
            .map(|folder| format!("cgroup {}", folder.display()));
        let links = links();
        let links = links.difference(&self.links).map(|link| format!("link {}", link.display()));
        mounts.chain(processes).chain(cgroups).chain(links).collect()
    }

    fn is_of_it(&self, pid: i32) -> bool {
        let inside = own_namespaces(pid).iter().any(|own| self.namespaces.contains(own));
        inside || self.processes.contains(&pid) && command_line(pid).contains("seaworthy")
    }
}

/// Every live process and its parent.
fn parents() -> BTreeMap<i32, i32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter_map(|pid: i32| Some((pid, parent(pid)?))).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // A zombie has ended; only its parent has not asked yet.
    let alive = fields.next()? != "Z";
    fields.next()?.parse().ok().filter(|_| alive)
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The process's namespaces that are not the host's.
fn own_namespaces(pid: i32) -> Vec<PathBuf> {
    let of = |who: &str, name: &str| fs::read_link(format!("/proc/{who}/ns/{name}")).ok();
    let foreign = |name: &&&str| of("self", name) != of(&pid.to_string(), name);
    NAMESPACES.iter().filter(foreign).filter_map(|name| of(&pid.to_string(), name)).collect()
}

/// The engine's folder in each hierarchy that the process is in.
fn cgroups(pid: i32) -> Vec<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let ours = text.lines().filter_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.split('/').find(|part| part.starts_with("drydock-")).map(str::to_owned)
    });
    let names: BTreeSet<String> = ours.collect();
    let hierarchies =
        || fs::read_dir(CGROUPS).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let hierarchies: Vec<PathBuf> = hierarchies().chain([PathBuf::from(CGROUPS)]).collect();
    let folders = names
        .iter()
        .flat_map(|name| hierarchies.iter().map(move |hierarchy| hierarchy.join(Path::new(name))));
    folders.filter(|folder| folder.exists()).collect()
}
