//! Which tasks, in which order, which part of them: the list's parameters and the statement for each.

use serde::{Deserialize, Serialize};

use crate::validate::{self, FieldError};

pub const PAGE_MAX: i64 = 500;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    All,
    Pending,
    Completed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    #[default]
    Created,
    Updated,
    Title,
    DueDate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    Asc,
    Desc,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub status: Status,
    pub sort: Sort,
    pub order: Order,
    /// Only tasks whose title or description contains this text, whatever the case.
    pub search: String,
    /// Only tasks due before (after) this day, `YYYY-MM-DD`; empty: no bound.
    pub due_before: String,
    pub due_after: String,
    pub limit: i64,
    pub offset: i64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            status: Status::All,
            sort: Sort::Created,
            order: Order::Asc,
            search: String::new(),
            due_before: String::new(),
            due_after: String::new(),
            limit: PAGE_MAX,
            offset: 0,
        }
    }
}

/// The statement of a list; `$1` user, `$2` completed, `$3` pattern, `$4` and `$5` days, `$6` limit, `$7` offset.
macro_rules! list_sorted_by {
    ($order:literal) => {
        concat!(
            "select ",
            $crate::tasks::columns!(),
            ", count(*) over () from tasks where user_id = $1 and deleted_at is null \
             and (cast($2 as boolean) is null or completed = $2) and ($3 = '' \
             or title_folded like $3 escape '\\' or description_folded like $3 escape '\\') \
             and ($4 = '' or due_date < $4) and ($5 = '' or due_date > $5) order by ",
            $order,
            " limit $6 offset $7"
        )
    };
}

impl Query {
    /// Reads the parameters of a request. Every one that is wrong is named; empty ones count as absent.
    pub fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<FieldError>> {
        let mut query = Self::default();
        let mut errors = Vec::new();
        for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            errors.extend(query.set(name, value).err());
        }
        if errors.is_empty() { Ok(query) } else { Err(errors) }
    }

    /// Unknown parameters are ignored, as proxies and tests add their own.
    fn set(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        match name {
            "status" => self.status = one_of(name, value, "all, pending or completed")?,
            "sort" => self.sort = one_of(name, value, "created, updated, title or due_date")?,
            "order" => self.order = one_of(name, value, "asc or desc")?,
            "search" => self.search = validate::search(value)?,
            "due_before" | "due_after" => {
                let day = validate::due_date(value).map_err(|error| FieldError::new(name, error.message))?;
                let bound = if name == "due_before" { &mut self.due_before } else { &mut self.due_after };
                *bound = day.unwrap_or_default();
            }
            "limit" => self.limit = number(name, value, 1, PAGE_MAX)?,
            "offset" => self.offset = number(name, value, 0, i64::from(u32::MAX))?,
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn sql(&self) -> &'static str {
        match (self.sort, self.order) {
            (Sort::Created, Order::Asc) => list_sorted_by!("id"),
            (Sort::Created, Order::Desc) => list_sorted_by!("id desc"),
            (Sort::Updated, Order::Asc) => list_sorted_by!("updated_at, id"),
            (Sort::Updated, Order::Desc) => list_sorted_by!("updated_at desc, id desc"),
            (Sort::Title, Order::Asc) => list_sorted_by!("title_folded, id"),
            (Sort::Title, Order::Desc) => list_sorted_by!("title_folded desc, id desc"),
            (Sort::DueDate, Order::Asc) => list_sorted_by!("due_date nulls last, id"),
            (Sort::DueDate, Order::Desc) => list_sorted_by!("due_date desc nulls last, id desc"),
        }
    }

    pub(crate) fn completed(&self) -> Option<bool> {
        match self.status {
            Status::All => None,
            Status::Pending => Some(false),
            Status::Completed => Some(true),
        }
    }

    /// The search text as a pattern; what has a meaning in patterns is taken literally.
    pub(crate) fn pattern(&self) -> String {
        if self.search.is_empty() {
            return String::new();
        }
        let mut pattern = String::from("%");
        for c in self.search.to_lowercase().chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        pattern
    }

    /// The name of this list in the cache; none when it is not worth keeping (searches differ by every key typed).
    pub(crate) fn cache_key(&self) -> Option<String> {
        self.search.is_empty().then(|| {
            let Self { status, sort, order, due_before, due_after, limit, offset, .. } = self;
            format!("{status:?}:{sort:?}:{order:?}:{due_before}:{due_after}:{limit}:{offset}")
        })
    }
}

fn one_of<T: serde::de::DeserializeOwned>(name: &str, value: &str, known: &str) -> Result<T, FieldError> {
    let parsed = serde_json::from_value(serde_json::Value::String(value.to_owned()));
    parsed.map_err(|_| FieldError::new(name, format!("is not one of {known}")))
}

fn number(name: &str, value: &str, min: i64, max: i64) -> Result<i64, FieldError> {
    let parsed = value.parse().ok().filter(|number| (min..=max).contains(number));
    parsed.ok_or_else(|| FieldError::new(name, format!("is not a number from {min} to {max}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pairs: &[(&str, &str)], wrong: &[&str]) {
        let outcome = Query::from_pairs(pairs.iter().copied());
        let fields: Vec<String> =
            outcome.err().unwrap_or_default().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, wrong, "{pairs:?}");
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        check(&[("status", "pending"), ("sort", "due_date"), ("order", "desc"), ("limit", "5")], &[]);
        check(&[("status", ""), ("utm_source", "x")], &[]);
        check(&[("status", "sometimes"), ("limit", "0"), ("offset", "-1")], &["status", "limit", "offset"]);
        check(
            &[("limit", "501"), ("due_before", "soon"), ("order", "up")],
            &["limit", "due_before", "order"],
        );
        check(&[("search", &"x".repeat(201))], &["search"]);
    }

    #[test]
    fn a_search_text_is_no_pattern() {
        let query = Query { search: "50%_Ü\\".to_owned(), ..Query::default() };
        assert_eq!(query.pattern(), "%50\\%\\_ü\\\\%");
    }
}
