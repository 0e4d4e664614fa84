//! The example as its users and its operator see it: over HTTP through the ingress, and with kubectl.

use serde_json::{Value, json};

use crate::http::{Answer, Request, send};
use crate::program::until;
use crate::world::World;

pub const SENTENCE: &str = "add a task to buy groceries";
pub const TITLE: &str = "Buy groceries";
const HOST: &str = "todo.localhost";
const PASSWORD: &str = "correct horse battery";

/// Somebody who is logged in.
pub struct Person {
    pub id: String,
    token: String,
}

impl World {
    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let request = Request { port: self.http_port, host: HOST, method, path, token, body };
        send(&request).unwrap_or_else(|error| panic!("{method} {path} through the ingress: {error}"))
    }

    pub fn page(&self, path: &str) -> Answer {
        self.ask("GET", path, None, None)
    }

    /// Signs somebody up, and logs them in as a second step, as the same person later would.
    pub fn sign_up(&self, name: &str) -> Person {
        let email = format!("{name}@example.com");
        let body = json!({ "name": name, "email": email, "password": PASSWORD });
        self.ask("POST", "/api/auth/signup", None, Some(body)).expect(201);
        self.log_in(name)
    }

    pub fn log_in(&self, name: &str) -> Person {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let session = self.ask("POST", "/api/auth/login", None, Some(body)).expect(200);
        Person { id: text(&session["user"]["id"]), token: text(&session["access_token"]) }
    }

    pub fn say(&self, person: &Person, message: &str) -> Value {
        let path = format!("/api/{}/chat", person.id);
        self.ask("POST", &path, Some(&person.token), Some(json!({ "message": message }))).expect(200)
    }

    pub fn titles(&self, person: &Person) -> Vec<String> {
        let path = format!("/api/{}/tasks", person.id);
        let tasks = self.ask("GET", &path, Some(&person.token), None).expect(200);
        tasks.as_array().unwrap().iter().map(|task| text(&task["title"])).collect()
    }

    /// The answer of PostgreSQL itself, asked from a pod of its own over the cluster's network.
    pub fn sql(&self, query: &str) -> String {
        let password = json!({ "secretKeyRef": { "name": "todo-secrets", "key": "POSTGRES_PASSWORD" } });
        let command =
            ["psql", "-h", "postgres.todo.svc.cluster.local", "-U", "todo", "-d", "todo", "-tAc", query];
        self.one_shot(
            "postgres:16-alpine",
            &command,
            json!([{ "name": "PGPASSWORD", "valueFrom": password }]),
        )
    }

    /// The answer of Redis itself.
    pub fn redis(&self, args: &[&str]) -> String {
        let command: Vec<&str> = ["redis-cli", "-h", "redis"].iter().chain(args).copied().collect();
        self.one_shot("redis:7-alpine", &command, json!([]))
    }

    /// Runs a command in a pod of its own and returns what it printed.
    fn one_shot(&self, image: &str, command: &[&str], env: Value) -> String {
        let container = json!({ "name": "ask", "image": image, "command": command, "env": env });
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "ask", "namespace": "todo" },
            "spec": { "restartPolicy": "Never", "containers": [container] },
        }));
        let phase = until("the question's pod ended", || {
            match text(&self.get("pod ask -n todo")["status"]["phase"]).as_str() {
                phase @ ("Succeeded" | "Failed") => Ok(phase.to_owned()),
                phase => Err(phase.to_owned()),
            }
        });
        let said = self.kubectl("logs ask -n todo").ok();
        self.kubectl("delete pod ask -n todo --grace-period=0 --wait=true").ok();
        assert_eq!(phase, "Succeeded", "{command:?}: {said}");
        said.trim().to_owned()
    }

    /// The pods of a service of the example, or of all of them.
    pub fn pods(&self, service: Option<&str>) -> Vec<Value> {
        let label =
            service.map(|service| format!(",app.kubernetes.io/component={service}")).unwrap_or_default();
        let pods = self.get(&format!("pods -n todo -l app.kubernetes.io/instance=todo{label}"));
        pods["items"].as_array().unwrap().clone()
    }

    /// Waits until every pod of the example is ready, and none is on its way out.
    pub fn until_all_are_ready(&self, count: usize) {
        until("all pods are ready", || {
            let pods = self.pods(None);
            let settled = |pod: &Value| is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null();
            match pods.len() == count && pods.iter().all(settled) {
                true => Ok(()),
                false => Err(self.kubectl("get pods -n todo -o wide").out),
            }
        });
    }
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
