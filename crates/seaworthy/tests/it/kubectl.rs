//! Unmodified kubectl of two versions, against containers that run.

use std::fs;
use std::path::Path;

use crate::program::{self, Ran, until};
use crate::world::World;

/// Where Google's SDK puts one kubectl per version.
const SDK: &str = "/usr/lib/google-cloud-sdk/bin";
const VERSIONS: [&str; 2] = ["1.30", "1.33"];

const APP: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: words }
data: { word: first }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: talker }
spec:
  replicas: 1
  selector: { matchLabels: { app: talker } }
  template:
    metadata: { labels: { app: talker } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: redis:7-alpine
        command: [sh, -c, 'n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo "$WORD line $n"; sleep 0.1; done']
        env: [{ name: WORD, valueFrom: { configMapKeyRef: { name: words, key: word } } }]
"#;

#[test]
fn each_kubectl_works_with_running_containers() {
    let Some(world) = World::begin() else { return };
    world.drydock("start").ok();
    let mut tried = 0;
    for version in VERSIONS {
        match program::find(&format!("kubectl.{version}"), &[SDK]) {
            Some(kubectl) => {
                tried += 1;
                works(&world, &kubectl);
            }
            None => eprintln!("NOT CHECKED: kubectl {version} is not on this machine"),
        }
    }
    match program::find("kubectl", &[SDK]) {
        Some(kubectl) if tried == 0 => works(&world, &kubectl),
        None if tried == 0 => program::missing("kubectl is not on this machine"),
        _ => {}
    }
}

struct Kubectl<'a> {
    world: &'a World,
    program: &'a Path,
}

impl Kubectl<'_> {
    fn command(&self, line: &str) -> std::process::Command {
        let args: Vec<&str> = line.split(' ').collect();
        self.world.client(self.program, &args)
    }

    fn run(&self, line: &str) -> Ran {
        program::run(self.command(line))
    }

    #[track_caller]
    fn says(&self, line: &str, expected: &str) {
        let ran = self.run(line);
        assert!(ran.code == Some(0) && ran.out.contains(expected), "{expected:?} is missing; {ran}");
    }
}

fn works(world: &World, program: &Path) {
    let kubectl = Kubectl { world, program };
    let file = world.home().join("app.yaml");
    fs::write(&file, APP).unwrap();
    let file = file.display();

    kubectl.says(&format!("apply -f {file}"), "deployment.apps/talker created");
    kubectl.says("rollout status deployment/talker --timeout=60s", "successfully rolled out");
    kubectl.says(&format!("apply -f {file}"), "deployment.apps/talker unchanged");
    kubectl.says("get deployment,pods,configmap", "configmap/words");
    kubectl.says("get pods -o wide", "10.244.");
    kubectl.says("describe pods -l app=talker", "Started container main");
    kubectl.says("describe deployment talker", "ScalingReplicaSet");
    kubectl.says("get nodes", "Ready");
    follow(&kubectl);

    kubectl.says("scale deployment/talker --replicas=3", "scaled");
    kubectl.says("rollout status deployment/talker --timeout=60s", "successfully rolled out");
    kubectl.says("get deployment talker", "3/3");

    kubectl.says("set env deployment/talker WORD=second", "env updated");
    kubectl.says("rollout status deployment/talker --timeout=60s", "successfully rolled out");
    says_only(&kubectl, "second");
    kubectl.says("rollout undo deployment/talker", "rolled back");
    kubectl.says("rollout status deployment/talker --timeout=60s", "successfully rolled out");
    says_only(&kubectl, "first");
    kubectl.says("rollout restart deployment/talker", "restarted");
    kubectl.says("rollout status deployment/talker --timeout=60s", "successfully rolled out");
    kubectl.says("rollout history deployment/talker", "REVISION");

    kubectl.says(&format!("delete -f {file}"), "deleted");
    until("the pods are gone", || match kubectl.run("get pods -l app=talker -o name").out {
        pods if pods.is_empty() => Ok(()),
        pods => Err(pods),
    });
}

/// `logs -f` shows what is there, and goes on with what comes.
fn follow(kubectl: &Kubectl<'_>) {
    let following = program::start(kubectl.command("logs -f deployment/talker"));
    following.until_it_says("first line 1\n");
    let later = kubectl.run("logs deployment/talker --tail=1").ok();
    let number: u32 = later.trim().rsplit(' ').next().unwrap().parse().unwrap();
    following.until_it_says(&format!("first line {}\n", number + 5));
}

/// Every pod that is to stay says `word`.
fn says_only(kubectl: &Kubectl<'_>, word: &str) {
    until(&format!("all pods say {word}"), || {
        let said = kubectl.run("logs -l app=talker --tail=1 --prefix").out;
        let lines = said.lines().count();
        match lines == 3 && said.lines().all(|line| line.contains(word)) {
            true => Ok(()),
            false => Err(said),
        }
    });
}
