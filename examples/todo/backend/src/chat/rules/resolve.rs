//! From words about a task to one of the tasks on the list. Pure.

use super::super::provider::Call;
use super::parse::Target;
use super::words::{is_near, words};

/// A task as `list_tasks` shows it, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: i64,
    pub title: String,
    pub completed: bool,
}

impl Listed {
    pub fn line(&self) -> String {
        format!("{} {}. {}", if self.completed { "\u{2611}" } else { "\u{2610}" }, self.id, self.title)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    None,
    One(Listed),
    Many(Vec<Listed>),
}

/// The tasks in the answer of `list_tasks`; none when it is not such an answer.
pub fn listed(call: &Call) -> Option<Vec<Listed>> {
    let tasks = call.result["tasks"].as_array().filter(|_| !call.failed)?;
    tasks
        .iter()
        .map(|task| {
            Some(Listed {
                id: task["id"].as_i64()?,
                title: task["title"].as_str()?.to_owned(),
                completed: task["completed"].as_bool()?,
            })
        })
        .collect()
}

/// The task(s) that `target` can mean. `subject` is the task talked about last.
///
/// Among several that fit a title, those that are `likely` win.
pub fn find(
    tasks: &[Listed],
    target: &Target,
    subject: Option<i64>,
    likely: impl Fn(&Listed) -> bool,
) -> Found {
    let by_id = |id: i64| tasks.iter().find(|task| task.id == id);
    let one = match target {
        Target::Id(id) => by_id(*id),
        Target::Nth(n) => n.checked_sub(1).and_then(|index| tasks.get(index)),
        Target::FromEnd(n) => n.checked_sub(1).and_then(|index| tasks.iter().rev().nth(index)),
        Target::It => subject.and_then(by_id),
        Target::Title(text) => return by_title(tasks, text, likely),
        Target::Nothing | Target::Everything | Target::EverythingCompleted => None,
    };
    one.cloned().map_or(Found::None, Found::One)
}

/// The same title, else titles that contain all the words, else titles whose words are a typo away.
fn by_title(tasks: &[Listed], text: &str, likely: impl Fn(&Listed) -> bool) -> Found {
    let wanted: Vec<String> = words(text).into_iter().map(|word| word.lower).collect();
    if wanted.is_empty() {
        return Found::None;
    }
    let words_of = |task: &Listed| words(&task.title).into_iter().map(|word| word.lower).collect::<Vec<_>>();
    let rules: [&dyn Fn(&Listed) -> bool; 3] = [
        &|task| words_of(task) == wanted,
        &|task| wanted.iter().all(|word| words_of(task).contains(word)),
        &|task| wanted.iter().all(|word| words_of(task).iter().any(|known| is_near(word, known))),
    ];
    for fits in rules {
        let fitting: Vec<Listed> = tasks.iter().filter(|task| fits(task)).cloned().collect();
        let likelier: Vec<Listed> = fitting.iter().filter(|task| likely(task)).cloned().collect();
        let best = if likelier.is_empty() { fitting } else { likelier };
        match best.len() {
            0 => {}
            1 => return best.into_iter().next().map_or(Found::None, Found::One),
            _ => return Found::Many(best),
        }
    }
    Found::None
}
