//! Which part of the list somebody looks at: filter, order, search text and page. Pure.
//!
//! It lives in the address of the page, so the back button, bookmarks and a second window work; forms carry it
//! along. What cannot be understood is ignored: an old bookmark must never end in an error.

use form_urlencoded::Serializer;

/// Tasks on one page.
pub const PAGE: i64 = 50;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    #[default]
    All,
    Pending,
    Completed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Created,
    Title,
    DueDate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub filter: Filter,
    pub sort: Sort,
    pub search: String,
    /// From 1.
    pub page: i64,
}

impl Default for View {
    fn default() -> Self {
        Self { filter: Filter::All, sort: Sort::Created, search: String::new(), page: 1 }
    }
}

impl Filter {
    pub const ALL: [Self; 3] = [Self::All, Self::Pending, Self::Completed];

    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pending => "pending",
            Self::Completed => "completed",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Pending => "Open",
            Self::Completed => "Done",
        }
    }
}

impl Sort {
    pub const ALL: [Self; 3] = [Self::Created, Self::Title, Self::DueDate];

    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Title => "title",
            Self::DueDate => "due_date",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Created => "Oldest first",
            Self::Title => "By title",
            Self::DueDate => "By due date",
        }
    }
}

impl View {
    /// From the query of an address, such as `status=pending&search=milk`.
    pub fn parse(query: &str) -> Self {
        let mut view = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "status" => view.filter = named(&Filter::ALL, Filter::name, &value),
                "sort" => view.sort = named(&Sort::ALL, Sort::name, &value),
                "search" => view.search = value.trim().chars().take(200).collect(),
                "page" => view.page = value.parse().unwrap_or(1).clamp(1, 10_000),
                _ => {}
            }
        }
        view
    }

    /// The same without a leading `?`; empty for the default view.
    pub fn query(&self) -> String {
        let mut out = Serializer::new(String::new());
        if self.filter != Filter::default() {
            out.append_pair("status", self.filter.name());
        }
        if self.sort != Sort::default() {
            out.append_pair("sort", self.sort.name());
        }
        if !self.search.is_empty() {
            out.append_pair("search", &self.search);
        }
        if self.page > 1 {
            out.append_pair("page", &self.page.to_string());
        }
        out.finish()
    }

    /// The address of the page that shows this.
    pub fn path(&self) -> String {
        match self.query() {
            query if query.is_empty() => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }

    pub fn with_filter(&self, filter: Filter) -> Self {
        Self { filter, page: 1, ..self.clone() }
    }

    pub fn with_page(&self, page: i64) -> Self {
        Self { page, ..self.clone() }
    }

    /// What to ask the backend for.
    pub fn request(&self) -> String {
        let mut out = Serializer::new(String::new());
        out.append_pair("status", self.filter.name());
        out.append_pair("sort", self.sort.name());
        if !self.search.is_empty() {
            out.append_pair("search", &self.search);
        }
        out.append_pair("limit", &PAGE.to_string());
        out.append_pair("offset", &((self.page - 1) * PAGE).to_string());
        out.finish()
    }
}

fn named<T: Copy + Default>(all: &[T], name: fn(T) -> &'static str, wanted: &str) -> T {
    all.iter().copied().find(|one| name(*one) == wanted).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expect: &str) {
        let view = View::parse(query);
        assert_eq!(view.query(), expect);
        assert_eq!(View::parse(&view.query()), view, "what is written can be read again");
    }

    #[test]
    fn the_default_view_has_an_empty_query() {
        check("", "");
        check("status=all&sort=created&page=1&search=", "");
    }

    #[test]
    fn a_view_survives_being_an_address() {
        check(
            "sort=due_date&status=pending&search=a%26b+c&page=3",
            "status=pending&sort=due_date&search=a%26b+c&page=3",
        );
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        check("status=whatever&sort=&page=-4&other=1", "");
        check("page=many&search=%FF", "search=%EF%BF%BD");
    }

    #[test]
    fn the_backend_is_asked_for_one_page() {
        assert_eq!(View::parse("page=3").request(), "status=all&sort=created&limit=50&offset=100");
    }
}
