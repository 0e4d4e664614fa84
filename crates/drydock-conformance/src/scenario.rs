//! A scenario: files, and steps that are shell lines around kubectl, or HTTP requests.
//!
//! The format is one line per thing, so that a scenario reads as what somebody typed:
//!
//! ```text
//! # A comment.
//! file app.yaml             the lines up to `end` become a file in the step's folder
//! end
//! shared app.yaml           so does `scenarios/shared/app.yaml`
//! ~ kubectl apply -f app.yaml      has to succeed; nothing is recorded
//! $ kubectl get pods               recorded: exit code, stdout, stderr
//! until /2\/2/                     the next step is repeated until its output matches
//! only /metadata/managedFields     of the next request's body only this is recorded
//! save RV /metadata/resourceVersion   `$RV` in later requests is this value of the next answer
//! > POST /api/v1/namespaces/$NS/configmaps     a request: headers, then a body, up to an empty line
//! ```
//!
//! Every run has a namespace of its own, `$NS`, whose name is equally long for every client.

use std::path::Path;

use anyhow::{Context, bail};
use regex::Regex;

#[derive(Debug)]
pub struct Scenario {
    /// The file's path below `scenarios`, without its ending.
    pub name: String,
    pub files: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    /// The line that names the step in recordings.
    pub title: String,
    pub action: Action,
    pub until: Option<Regex>,
    /// Not recorded; has to succeed.
    pub silent: bool,
}

#[derive(Debug)]
pub enum Action {
    Shell(String),
    Request(Request),
}

#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// JSON pointers: only these parts of the answer are recorded. Empty means all.
    pub only: Vec<String>,
    /// Variable and JSON pointer of what later requests use.
    pub save: Vec<(String, String)>,
}

impl Scenario {
    /// Every scenario below `folder`, by name; `wanted` keeps those whose name contains one of the words.
    pub fn all(folder: &Path, wanted: &[String]) -> anyhow::Result<Vec<Scenario>> {
        let mut found = Vec::new();
        let mut pending = vec![folder.to_owned()];
        while let Some(next) = pending.pop() {
            let entries =
                std::fs::read_dir(&next).with_context(|| format!("cannot read `{}`", next.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_some_and(|extension| extension == "txt") {
                    found.push(Self::load(folder, &path)?);
                }
            }
        }
        found.retain(|one| wanted.is_empty() || wanted.iter().any(|word| one.name.contains(word.as_str())));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn load(folder: &Path, path: &Path) -> anyhow::Result<Scenario> {
        let text = std::fs::read_to_string(path)?;
        let name = path.strip_prefix(folder)?.with_extension("");
        let name = name.to_str().context("a scenario's name is no text")?;
        Self::parse(name, &text).with_context(|| format!("cannot read scenario `{name}`"))
    }

    pub fn parse(name: &str, text: &str) -> anyhow::Result<Scenario> {
        let mut reader = Reader {
            scenario: Scenario { name: name.to_owned(), files: Vec::new(), steps: Vec::new() },
            until: None,
            only: Vec::new(),
            save: Vec::new(),
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            reader.read(line, &mut lines).with_context(|| format!("at `{line}`"))?;
        }
        Ok(reader.scenario)
    }

    /// Whether no step needs kubectl: such a scenario runs once, not once per version.
    pub fn is_requests(&self) -> bool {
        !self.steps.iter().any(|step| matches!(&step.action, Action::Shell(line) if line.contains("kubectl")))
    }
}

/// What the lines so far have said, and what they said about the next step.
struct Reader {
    scenario: Scenario,
    until: Option<Regex>,
    only: Vec<String>,
    save: Vec<(String, String)>,
}

impl Reader {
    fn read(&mut self, line: &str, rest: &mut std::str::Lines<'_>) -> anyhow::Result<()> {
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            "file" => {
                let content: Vec<&str> = rest.take_while(|line| *line != "end").collect();
                self.scenario.files.push((argument.to_owned(), content.join("\n") + "\n"));
            }
            "shared" => {
                let path = crate::folder("scenarios/shared").join(argument);
                let content = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read `{}`", path.display()))?;
                self.scenario.files.push((argument.to_owned(), content));
            }
            "until" => {
                let expression = argument.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
                self.until = Some(Regex::new(expression.context("until wants /an expression/")?)?);
            }
            "only" => self.only.push(argument.to_owned()),
            "save" => {
                let (name, pointer) =
                    argument.split_once(' ').context("save wants a name and a JSON pointer")?;
                self.save.push((format!("${name}"), pointer.to_owned()));
            }
            "$" => self.step(line.to_owned(), Action::Shell(argument.to_owned()), false),
            "~" => self.step(line.to_owned(), Action::Shell(argument.to_owned()), true),
            ">" | "~>" => {
                let request = self.request(argument, rest)?;
                self.step(line.to_owned(), Action::Request(request), word == "~>");
            }
            _ => bail!("`{word}` begins no line of a scenario"),
        }
        Ok(())
    }

    /// A line that stands there again is told apart by a number, so that each has its own recording.
    fn step(&mut self, line: String, action: Action, silent: bool) {
        let numbered = |known: &str| {
            known == line || known.strip_prefix(&line).is_some_and(|rest| rest.starts_with(" #"))
        };
        let before = self.scenario.steps.iter().filter(|step| numbered(&step.title)).count();
        let title = if before == 0 { line } else { format!("{line} #{}", before + 1) };
        self.scenario.steps.push(Step { title, action, until: self.until.take(), silent });
    }

    fn request(&mut self, first: &str, rest: &mut std::str::Lines<'_>) -> anyhow::Result<Request> {
        let (method, path) = first.split_once(' ').context("a request wants a method and a path")?;
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            only: std::mem::take(&mut self.only),
            save: std::mem::take(&mut self.save),
            ..Request::default()
        };
        for line in rest.take_while(|line| !line.is_empty()) {
            match header(line) {
                Some(header) if request.body.is_empty() => request.headers.push(header),
                _ => request.body += &format!("{line}\n"),
            }
        }
        Ok(request)
    }
}

/// `Content-Type: x`; a key of YAML never begins with a capital letter and holds a dash or is `Accept`.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(": ")?;
    let named = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    named.then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# about\nfile a.yaml\nkind: X\nend\n~ kubectl apply -f a.yaml\nuntil /a b/\n$ kubectl get x\n\n\
                        save RV /metadata/resourceVersion\n> POST /api/v1/x\nContent-Type: application/json\n{\"Kind: 1\n\n$ true\n";

    #[test]
    fn files_steps_and_requests_are_told_apart() {
        let scenario = Scenario::parse("group/name", TEXT).unwrap();
        assert_eq!(scenario.files, [("a.yaml".to_owned(), "kind: X\n".to_owned())]);
        let titles: Vec<&str> = scenario.steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(titles, ["~ kubectl apply -f a.yaml", "$ kubectl get x", "> POST /api/v1/x", "$ true"]);
        assert!(
            scenario.steps[0].silent
                && scenario.steps[1].until.is_some()
                && scenario.steps[2].until.is_none()
        );
        let Action::Request(request) = &scenario.steps[2].action else { panic!("no request") };
        assert_eq!(request.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
        assert_eq!(request.body, "{\"Kind: 1\n");
    }

    #[test]
    fn a_step_that_stands_there_again_is_numbered() {
        let scenario = Scenario::parse("x", "$ kubectl get x\n$ kubectl get x\n$ kubectl get x\n").unwrap();
        let titles: Vec<&str> = scenario.steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(titles, ["$ kubectl get x", "$ kubectl get x #2", "$ kubectl get x #3"]);
    }

    #[test]
    fn a_line_that_means_nothing_is_refused() {
        assert!(Scenario::parse("x", "kubectl get pods\n").is_err());
    }
}
