//! The task list: the form for a new one, filter, search and order, and a row per task.

use maud::{Markup, html};

use super::{Board, Notice, carried, field, icons};
use crate::api::{Problem, Task};
use crate::flash::{Flash, Words};
use crate::session::Visitor;
use crate::view::{Filter, PAGE, Sort, View};

pub fn panel(visitor: &Visitor, board: &Board<'_>) -> Markup {
    let (page, view) = (board.page, board.view);
    let all = page.open + page.done;
    html! {
        section.tasks #tasks aria-labelledby="tasks-title" {
            div.heading {
                h1 #tasks-title tabindex="-1" { "Tasks" }
                @if all > 0 { p.count #count { (page.done) " of " (all) " done" } }
            }
            @if all > 0 { progress max=(all) value=(page.done) aria-labelledby="count" {} }
            (add_form(visitor, board))
            div #flash .flash role="status" { @if let Some(flash) = &visitor.flash { (told(visitor, view, flash)) } }
            div #notice role="alert" { @if let Some(Notice::Tasks(text)) = &board.notice { p.notice { (text) } } }
            @if all > 0 || view != &View::default() { (toolbar(view)) }
            @if page.tasks.is_empty() { (empty(view, all, page.matching)) }
            ul.list role="list" aria-label="Tasks" { @for task in &page.tasks { (row(visitor, board, task)) } }
            (pages(view, page.matching))
        }
    }
}

fn add_form(visitor: &Visitor, board: &Board<'_>) -> Markup {
    let (none, nothing) = (Problem::default(), Words::default());
    let (words, problem) = match &board.notice {
        Some(Notice::Add { words, problem }) => (words, problem),
        _ => (&nothing, &none),
    };
    let is_open = !words.description.is_empty() || !words.due_date.is_empty();
    html! {
        form.add method="post" action="/tasks" data-reset novalidate[!problem.fields.is_empty()] {
            (carried(visitor, board.view))
            (field(problem, "title", "new-title", "New task", "", |d| html! {
                input #new-title name="title" value=(words.title) placeholder="What is to be done?" maxlength="200"
                    required autocomplete="off" aria-invalid=[d.invalid] aria-describedby=[d.by];
            }))
            button.primary type="submit" { "Add" }
            details #new-more open[is_open || problem.of("due_date").is_some() || problem.of("description").is_some()] {
                summary { "Due date and notes" }
                div.more {
                    (field(problem, "due_date", "new-due", "Due", "", |d| html! {
                        input #new-due name="due_date" type="date" value=(words.due_date) aria-invalid=[d.invalid] aria-describedby=[d.by];
                    }))
                    (field(problem, "description", "new-description", "Notes", "", |d| html! {
                        textarea #new-description name="description" rows="2" maxlength="1000" aria-invalid=[d.invalid] aria-describedby=[d.by] { (words.description) }
                    }))
                }
            }
            @if problem.fields.is_empty() && !problem.message.is_empty() { p.notice role="alert" { (problem.line()) } }
        }
    }
}

fn told(visitor: &Visitor, view: &View, flash: &Flash) -> Markup {
    html! {
        p { (flash.text()) }
        @if let Some((action, words)) = flash.undo() {
            form.undo method="post" action=(action) {
                (carried(visitor, view))
                input type="hidden" name="title" value=(words.title);
                input type="hidden" name="description" value=(words.description);
                input type="hidden" name="due_date" value=(words.due_date);
                button.link type="submit" { "Undo" }
            }
        }
    }
}

fn toolbar(view: &View) -> Markup {
    html! {
        div.toolbar {
            nav.filters aria-label="Show" {
                @for filter in Filter::ALL {
                    a href=(view.with_filter(filter).path()) aria-current=[(filter == view.filter).then_some("page")] { (filter.label()) }
                }
            }
            form.find method="get" action="/" role="search" data-find {
                @if view.filter != Filter::All { input type="hidden" name="status" value=(view.filter.name()); }
                label.hidden for="search" { "Search tasks" }
                input #search name="search" type="search" value=(view.search) placeholder="Search" maxlength="200" autocomplete="off";
                label.hidden for="sort" { "Order" }
                select #sort name="sort" {
                    @for sort in Sort::ALL { option value=(sort.name()) selected[sort == view.sort] { (sort.label()) } }
                }
                button.apply type="submit" { "Apply" }
            }
        }
    }
}

fn empty(view: &View, all: i64, matching: i64) -> Markup {
    html! {
        div.empty {
            @if matching > 0 {
                p { "This page is empty." }
                p { a href=(view.with_page(1).path()) { "To the first page" } }
            } @else if !view.search.is_empty() {
                p { "Nothing matches \u{201c}" (view.search) "\u{201d}." }
                p { a href=(View { search: String::new(), ..view.clone() }.path()) { "Clear the search" } }
            } @else if all == 0 {
                p.big { "A clear horizon." }
                p { "Add your first task above, or tell the assistant what is on your mind." }
            } @else if view.filter == Filter::Pending {
                p.big { "All done." }
                p { "Nothing is open. Enjoy the calm." }
            } @else {
                p { "Nothing is done yet. The first tick is the best one." }
            }
        }
    }
}

fn pages(view: &View, matching: i64) -> Markup {
    let last = (matching + PAGE - 1) / PAGE;
    html! {
        @if last > 1 {
            nav.pages aria-label="Pages" {
                @if view.page > 1 { a.button rel="prev" href=(view.with_page(view.page - 1).path()) { "Previous" } }
                span { "Page " (view.page) " of " (last) }
                @if view.page < last { a.button rel="next" href=(view.with_page(view.page + 1).path()) { "Next" } }
            }
        }
    }
}

fn row(visitor: &Visitor, board: &Board<'_>, task: &Task) -> Markup {
    let id = task.id;
    let title_id = format!("title-{id}");
    let (verb, checked) = if task.completed { ("reopen", "true") } else { ("complete", "false") };
    let mended = match &board.notice {
        Some(Notice::Edit { id: edited, words, problem }) if *edited == id => Some((words, problem)),
        _ => None,
    };
    html! {
        li #{ "task-" (id) } .task.done[task.completed] data-id=(id) {
            form method="post" action={ "/tasks/" (id) "/" (verb) } {
                (carried(visitor, board.view))
                button.box #{ "box-" (id) } type="submit" role="checkbox" aria-checked=(checked) aria-labelledby=(title_id) { (icons::tick()) }
            }
            details #{ "more-" (id) } open[mended.is_some()] {
                summary {
                    span.hidden { "Edit " }
                    span.title #(title_id) { (task.title) }
                    span.facts {
                        span.number { "#" (id) }
                        @if let Some(day) = &task.due_date { (due(day)) }
                        (icons::pencil())
                    }
                    @if !task.description.is_empty() { span.description { (task.description) } }
                }
                (edit_form(visitor, board.view, task, mended))
            }
            form method="post" action={ "/tasks/" (id) "/delete" } {
                (carried(visitor, board.view))
                button.quiet.delete #{ "delete-" (id) } type="submit" aria-label={ "Delete \u{201c}" (task.title) "\u{201d}" } { (icons::bin()) }
            }
        }
    }
}

fn edit_form(visitor: &Visitor, view: &View, task: &Task, mended: Option<(&Words, &Problem)>) -> Markup {
    let (id, none, stored) = (task.id, Problem::default(), Words::from(task));
    let (words, problem) = mended.unwrap_or((&stored, &none));
    html! {
        form.edit.stack method="post" action={ "/tasks/" (id) "/edit" } data-close novalidate[!problem.fields.is_empty()] {
            (carried(visitor, view))
            (field(problem, "title", &format!("edit-title-{id}"), "Title", "", |d| html! {
                input #{ "edit-title-" (id) } name="title" value=(words.title) maxlength="200" required
                    aria-invalid=[d.invalid] aria-describedby=[d.by];
            }))
            (field(problem, "description", &format!("edit-description-{id}"), "Notes", "", |d| html! {
                textarea #{ "edit-description-" (id) } name="description" rows="3" maxlength="1000"
                    aria-invalid=[d.invalid] aria-describedby=[d.by] { (words.description) }
            }))
            (field(problem, "due_date", &format!("edit-due-{id}"), "Due", "", |d| html! {
                input #{ "edit-due-" (id) } name="due_date" type="date" value=(words.due_date)
                    aria-invalid=[d.invalid] aria-describedby=[d.by];
            }))
            div.actions {
                button.primary type="submit" { "Save" }
                button.quiet.cancel type="button" { "Cancel" }
            }
        }
    }
}

/// The script says "today" and "overdue", because only the browser knows which day it is where the person is.
fn due(day: &str) -> Markup {
    html! { time.due datetime=(day) { (icons::calendar()) span.day { (in_words(day)) } } }
}

/// `2026-11-21` as `21 Nov 2026`; anything else as it is.
fn in_words(day: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = day.splitn(3, '-').map(str::parse::<usize>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(year)), Some(Ok(month @ 1..=12)), Some(Ok(day))) => {
            format!("{day} {} {year}", MONTHS[month - 1])
        }
        _ => day.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_people_write_it() {
        assert_eq!(in_words("2026-11-01"), "1 Nov 2026");
        assert_eq!(in_words("2026-13-01"), "2026-13-01");
        assert_eq!(in_words("soon"), "soon");
    }
}
