//! A plan as text: what would change, line by line, and what was found. Secrets are hidden already.

use std::fmt::Write as _;

use seaworthy_release::Line;
use seaworthy_release::plan::{Action, Finding, Plan, Planned};

/// What is printed when nothing would change.
const NOTHING: &str = "nothing would change\n";

pub fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let shown = |planned: &&Planned| planned.action != Action::Unchanged;
    for planned in plan.objects.iter().filter(shown) {
        object(planned, &mut text);
    }
    if plan.is_empty() {
        text.push_str(NOTHING);
    } else {
        let _ = writeln!(text, "{}", summary(plan));
    }
    text
}

/// The findings, each with its hint.
pub fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let what = if finding.stops() { "error" } else { "warning" };
        let _ = writeln!(text, "{what}: {finding}");
        if let Some(hint) = finding.hint() {
            let _ = writeln!(text, "  hint: {hint}");
        }
    }
    text
}

fn object(planned: &Planned, text: &mut String) {
    let (mark, note) = match planned.action {
        Action::Create => ('+', ""),
        Action::Update => ('~', ""),
        Action::Recreate => ('!', ": deleted and created, because a field cannot change"),
        Action::Delete => ('-', ""),
        Action::Unchanged => ('=', ""),
        Action::Keep => ('=', ": stays in the cluster"),
        Action::Refused => ('!', ": would be refused"),
    };
    let place = if planned.place.is_empty() { String::new() } else { format!(" ({})", planned.place) };
    let _ = writeln!(text, "{mark} {}{place}{note}", planned.object);
    for line in &planned.lines {
        let _ = match line {
            Line::Same(line) => writeln!(text, "      {line}"),
            Line::Old(line) => writeln!(text, "    - {line}"),
            Line::New(line) => writeln!(text, "    + {line}"),
            Line::Gap => writeln!(text, "      ..."),
        };
    }
}

fn summary(plan: &Plan) -> String {
    let count = |action: Action| plan.objects.iter().filter(|planned| planned.action == action).count();
    let parts = [
        (count(Action::Create), "to create"),
        (count(Action::Update), "to update"),
        (count(Action::Recreate), "to replace"),
        (count(Action::Delete), "to delete"),
        (count(Action::Refused), "refused"),
        (count(Action::Unchanged), "unchanged"),
    ];
    let told = parts.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}
