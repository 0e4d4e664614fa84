//! Which objects a list shows: the rules of `resourceVersion`, and pages that all show one revision.
//!
//! For `list` and for watches, whose parameters overlap. A continue token names the revision of the first page and the
//! last key shown; once that revision is compacted, the answer is 410 with a token that continues at the newest
//! state instead, which a client may take or not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use drydock_store::{Compacted, Item, List};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::request::Query;
use crate::selector::Filter;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;
use crate::wire::body::go_words;

const TOKEN_VERSION: &str = "meta.k8s.io/v1";
/// In a token: whatever the newest revision is.
const NEWEST: i64 = -1;

/// What one answer to a list holds.
pub(crate) struct Page {
    pub revision: u64,
    pub items: Vec<Item>,
    next: Option<Next>,
}

struct Next {
    token: String,
    /// Known only without selectors: nobody has looked at the rest yet.
    remaining: Option<usize>,
}

impl Page {
    pub fn of(cx: &Cx) -> Result<Self, ApiError> {
        check_list(&cx.query)?;
        let filter = Filter::of(&cx.query, &cx.kind)?;
        let limit = cx.query.number("limit")?.filter(|limit| *limit > 0).map(|limit| limit as usize);
        let prefix = cx.kind.prefix_in(cx.path.namespace.as_deref());
        let token = cx.query.get("continue").map(Token::read).transpose()?;
        let at = match &token {
            Some(token) => u64::try_from(token.rv).ok(),
            None => wanted_revision(cx, limit.is_some())?,
        };
        let after = token.as_ref().map(|token| format!("{prefix}{}", token.last_key()));
        // A selector may pass over any number of objects, so the page is cut after it.
        let fetched = if filter.is_empty() { limit } else { None };
        let page =
            cx.server.store.list(List { prefix: &prefix, after: after.as_deref(), limit: fetched, at });
        let page = page.map_err(|compacted| gone(compacted, token.as_ref()))?;
        let next = |last: &Item, remaining| {
            let start = format!("{}\0", last.key.strip_prefix(&prefix).unwrap_or(&last.key));
            let token = Token { v: TOKEN_VERSION.into(), rv: page.revision as i64, start };
            Ok::<_, ApiError>(Next { token: token.write()?, remaining })
        };
        if filter.is_empty() {
            let cut = page.items.last().filter(|_| page.remaining > 0);
            let next = cut.map(|last| next(last, Some(page.remaining))).transpose()?;
            return Ok(Self { revision: page.revision, items: page.items, next });
        }
        let (items, more) = select(cx, &filter, page.items, limit.unwrap_or(usize::MAX))?;
        let next = items.last().filter(|_| more).map(|last| next(last, None)).transpose()?;
        Ok(Self { revision: page.revision, items, next })
    }

    /// The `metadata` of the list.
    pub fn metadata(&self) -> Value {
        let mut metadata = json!({ "resourceVersion": self.revision.to_string() });
        if let Some(next) = &self.next {
            metadata["continue"] = next.token.as_str().into();
            if let Some(remaining) = next.remaining {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
        metadata
    }
}

/// The first `limit` items that match, and whether there are more.
fn select(cx: &Cx, filter: &Filter, items: Vec<Item>, limit: usize) -> Result<(Vec<Item>, bool), ApiError> {
    let mut selected = Vec::new();
    for item in items {
        let object = cx.kind.present(stored::decode(&item.entry)?.value);
        if !filter.matches(&cx.kind, &object) {
            continue;
        }
        if selected.len() == limit {
            return Ok((selected, true));
        }
        selected.push(item);
    }
    Ok((selected, false))
}

/// The revision to show: pinned for `Exact` and, as clients expect since long ago, for a first page of some revision.
/// The newest state is never older than any other wish.
fn wanted_revision(cx: &Cx, paging: bool) -> Result<Option<u64>, ApiError> {
    let wanted = match parse_revision(cx.query.get("resourceVersion"))? {
        None | Some(0) => return Ok(None),
        Some(wanted) => wanted,
    };
    check_reached(wanted, cx.server.store.revision())?;
    Ok(match cx.query.get("resourceVersionMatch") {
        Some("Exact") => Some(wanted),
        None if paging => Some(wanted),
        _ => None,
    })
}

/// Refuses a revision that is still to come: as after a reset of the store, the client has to start over.
pub(crate) fn check_reached(wanted: u64, current: u64) -> Result<(), ApiError> {
    if wanted > current {
        return Err(ApiError::too_large_revision(wanted, current));
    }
    Ok(())
}

/// Why Go takes a text for no number.
pub(crate) fn go_number(text: &str, function: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: invalid syntax")
}

/// A resourceVersion from a client: a number, or nothing.
pub(crate) fn parse_revision(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let refused = |text| ApiError::bad_request(format!("invalid resource version: {}", no_revision(text)));
    text.map(|text| text.parse().map_err(|_| refused(text))).transpose()
}

/// The same for a watch, which an API server fails at.
pub(crate) fn parse_watch_revision(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let refused = |text| ApiError::failed(no_revision(text).to_string());
    text.map(|text| text.parse().map_err(|_| refused(text))).transpose()
}

fn no_revision(text: &str) -> FieldError {
    FieldError::invalid(&Path::root("resourceVersion"), text, go_number(text, "ParseUint"))
}

fn check_list(query: &Query) -> Result<(), ApiError> {
    let (version, matching) = (query.get("resourceVersion"), query.get("resourceVersionMatch"));
    let path = Path::root("resourceVersionMatch");
    let mut errors = Vec::new();
    let mut forbid = |wrong: bool, path: &Path, why: &str| {
        if wrong {
            errors.push(FieldError::forbidden(path, why));
        }
    };
    forbid(
        matching.is_some() && version.is_none(),
        &path,
        "resourceVersionMatch is forbidden unless resourceVersion is provided",
    );
    forbid(
        matching.is_some() && query.get("continue").is_some(),
        &path,
        "resourceVersionMatch is forbidden when continue is provided",
    );
    forbid(
        matching == Some("Exact") && version == Some("0"),
        &path,
        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
    );
    forbid(
        query.get("sendInitialEvents").is_some(),
        &Path::root("sendInitialEvents"),
        "sendInitialEvents is forbidden for list",
    );
    if let Some(other) = matching.filter(|word| !matches!(*word, "Exact" | "NotOlderThan")) {
        errors.push(FieldError::not_supported_in_order(&path, other, &["Exact", "NotOlderThan", ""]));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid_options("ListOptions", &errors));
    }
    if query.get("continue").is_some() && !matches!(version, None | Some("0")) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(())
}

/// The parameters a watch shares with a list; what it starts with is for the watch to say.
pub(crate) fn check_watch(query: &Query) -> Result<(), ApiError> {
    let (matching, initial) = (query.get("resourceVersionMatch"), query.get("sendInitialEvents"));
    let path = Path::root("resourceVersionMatch");
    let mut errors = Vec::new();
    if initial.is_some() && matching != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(&path, why));
    }
    if let Some(word) = matching {
        if initial.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(&path, why));
        }
        if word != "NotOlderThan" {
            errors.push(FieldError::not_supported(&path, word, &["NotOlderThan"]));
        }
        if query.get("continue").is_some() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden(&path, why));
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid_options("ListOptions", &errors)),
    }
}

fn gone(compacted: Compacted, token: Option<&Token>) -> ApiError {
    let Some(token) = token else {
        return ApiError::expired(format!(
            "The resourceVersion for the provided list is too old: {}, the oldest kept is {}.",
            compacted.requested, compacted.floor
        ));
    };
    let newest = Token { rv: NEWEST, v: token.v.clone(), start: token.start.clone() };
    let expired = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of \
         the results. Continuing with the provided token results in an inconsistent list - objects that were \
         created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    match newest.write() {
        Ok(token) => expired.with_continue(token),
        Err(_) => expired,
    }
}

/// Whether a text is a continue token. Any text at all may come in.
pub(crate) fn can_read_token(text: &str) -> bool {
    Token::read(text).is_ok()
}

/// Where the next page starts, and the revision all pages of the list show.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    /// The smallest key that is still to come, relative to the list's prefix.
    start: String,
}

impl Token {
    fn read(text: &str) -> Result<Self, ApiError> {
        let refused = |why: &str| {
            ApiError::bad_request(format!("invalid continue token: continue key is not valid{why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused(""))?;
        let token: Result<Self, _> = serde_json::from_slice(&bytes);
        let token = token.map_err(|why| refused(&format!(": {}", go_words(&why, &bytes))))?;
        match &token {
            token if token.v != TOKEN_VERSION => {
                Err(refused(&format!(": server does not recognize this encoded version {}", token.v)))
            }
            token if token.rv == 0 || token.rv < NEWEST => {
                Err(refused(": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))
            }
            token if token.start.is_empty() => {
                Err(refused(": encoded start key empty (version meta.k8s.io/v1)"))
            }
            _ => Ok(token),
        }
    }

    fn write(&self) -> Result<String, ApiError> {
        let text = serde_json::to_vec(self).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(text))
    }

    fn last_key(&self) -> &str {
        self.start.strip_suffix('\0').unwrap_or(&self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parse: fn(&Query) -> Result<(), ApiError>, query: &str, expect: Option<&str>) {
        let query = Query::of(&format!("/?{query}").parse().unwrap());
        let refused = parse(&query).err().map(|error| format!("{} {}", error.code.as_u16(), error.message));
        match (&refused, expect) {
            (Some(found), Some(part)) => assert!(found.contains(part), "{found}"),
            (found, expect) => assert_eq!(found.as_deref(), expect),
        }
    }

    #[test]
    fn list_parameters_that_contradict_each_other_are_refused() {
        check(check_list, "resourceVersion=5&resourceVersionMatch=Exact&limit=5", None);
        check(check_list, "continue=x&resourceVersion=0", None);
        check(
            check_list,
            "resourceVersionMatch=Exact",
            Some(
                "422 ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
        );
        check(
            check_list,
            "resourceVersionMatch=Exact&resourceVersion=0",
            Some("is forbidden for resourceVersion \"0\""),
        );
        check(
            check_list,
            "resourceVersionMatch=Newest&resourceVersion=1",
            Some("Unsupported value: \"Newest\": supported values: \"Exact\", \"NotOlderThan\", \"\""),
        );
        check(check_list, "sendInitialEvents=true", Some("sendInitialEvents is forbidden for list"));
        check(
            check_list,
            "continue=x&resourceVersion=7",
            Some("400 specifying resource version is not allowed"),
        );
    }

    #[test]
    fn watch_parameters_that_contradict_each_other_are_refused() {
        check(check_watch, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan", None);
        check(
            check_watch,
            "sendInitialEvents=true",
            Some(
                "422 ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires",
            ),
        );
        check(
            check_watch,
            "resourceVersionMatch=NotOlderThan",
            Some("forbidden for watch unless sendInitialEvents"),
        );
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        let told = |text: &str| Token::read(text).unwrap_err().message;
        assert_eq!(told("***"), "invalid continue token: continue key is not valid");
        let zero = Token { v: TOKEN_VERSION.into(), rv: 0, start: "a".into() }.write().unwrap();
        assert!(told(&zero).contains("incorrect encoded start resourceVersion"));
    }
}
