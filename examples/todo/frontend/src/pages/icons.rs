//! Small drawings in the colour of the text around them. All are decoration: the words beside them say the same.

use maud::{Markup, PreEscaped, html};

use crate::session::Theme;

/// `path` is one of the constants below, never something a user typed.
fn icon(path: &'static str) -> Markup {
    html! {
        svg.icon viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false" { (PreEscaped(path)) }
    }
}

pub fn tick() -> Markup {
    icon(r#"<path d="M4.5 10.5l3.8 3.8 7.2-8"/>"#)
}

pub fn bin() -> Markup {
    icon(r#"<path d="M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M8.6 9v4.5M11.4 9v4.5"/>"#)
}

pub fn pencil() -> Markup {
    icon(r#"<path d="M4.5 15.5l.8-3.3 7.6-7.6 2.5 2.5-7.6 7.6zM11.3 6.2l2.5 2.5"/>"#)
}

pub fn calendar() -> Markup {
    icon(r#"<path d="M4 5.5h12v10.5H4zM4 8.8h12M7.2 3.8v3M12.8 3.8v3"/>"#)
}

pub fn list() -> Markup {
    icon(r#"<path d="M8 5.5h8M8 10h8M8 14.5h8M4 5.5h.6M4 10h.6M4 14.5h.6"/>"#)
}

pub fn speech() -> Markup {
    icon(r#"<path d="M3.5 4.5h13v9H9l-3.5 3v-3h-2z"/>"#)
}

pub fn tool() -> Markup {
    icon(
        r#"<path d="M11.5 5.2a3.3 3.3 0 0 0 3.6 4.4l.9 1-5 5.2a1.6 1.6 0 0 1-2.3-2.3l5-5"/><path d="M4 4l4.5 4.5"/>"#,
    )
}

pub fn theme(theme: Theme) -> Markup {
    match theme {
        Theme::System => icon(
            r#"<circle cx="10" cy="10" r="6.2"/><path d="M10 3.8v12.4a6.2 6.2 0 0 0 0-12.4z" fill="currentColor"/>"#,
        ),
        Theme::Light => icon(
            r#"<circle cx="10" cy="10" r="3.2"/><path d="M10 2.5v2M10 15.5v2M2.5 10h2M15.5 10h2M4.7 4.7l1.4 1.4M13.9 13.9l1.4 1.4M4.7 15.3l1.4-1.4M13.9 6.1l1.4-1.4"/>"#,
        ),
        Theme::Dark => icon(r#"<path d="M15.8 12.1A6.4 6.4 0 0 1 7.9 4.2a6.4 6.4 0 1 0 7.9 7.9z"/>"#),
    }
}
