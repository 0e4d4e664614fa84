//! Cookies and the defence against forged forms.
//!
//! All cookies are HttpOnly and SameSite=Lax; `Secure` as soon as the request came over TLS. Every form carries the
//! value of a second cookie: another site can make a browser send the cookie, but cannot read it to fill in the
//! field. Browsers that say where a request comes from are believed besides.

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};

use crate::api::{Session, User};
use crate::flash::Flash;

const SESSION: &str = "todo_session";
const USER: &str = "todo_user";
const CSRF: &str = "todo_csrf";
const FLASH: &str = "todo_flash";
const THEME: &str = "todo_theme";
const MONTH_S: u64 = 30 * 24 * 3_600;
/// The redirect follows at once; a tab that never followed it must not tell old news tomorrow.
const FLASH_S: u64 = 60;

/// Light or dark, chosen here or left to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.name() == name).unwrap_or_default()
    }
}

/// What a browser sent along: who it is, and the token its forms must repeat.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub token: Option<String>,
    /// Whose token it is, so that the backend need not be asked first. It proves nothing: the token does.
    pub user: Option<User>,
    /// Always set; a new one is sent with the page when the browser had none.
    pub csrf: String,
    pub theme: Theme,
    /// What was done by the request before this one.
    pub flash: Option<Flash>,
    /// A script that looks for news; what happens for it happens behind the person's back.
    pub is_live: bool,
    csrf_is_new: bool,
    tls: bool,
    trusted_fetch: bool,
}

impl Visitor {
    pub fn of(headers: &HeaderMap) -> Self {
        let known = cookie(headers, CSRF).filter(|value| value.len() == 32);
        let csrf_is_new = known.is_none();
        let fetch_site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        Self {
            token: cookie(headers, SESSION).filter(|value| !value.is_empty()),
            user: cookie(headers, USER).and_then(|text| user(&text)),
            csrf: known.unwrap_or_else(fresh_csrf),
            theme: Theme::named(&cookie(headers, THEME).unwrap_or_default()),
            flash: cookie(headers, FLASH).and_then(|text| Flash::from_cookie(&text)),
            is_live: headers.contains_key("x-live"),
            csrf_is_new,
            tls: is_tls(headers),
            trusted_fetch: matches!(fetch_site, None | Some("same-origin" | "none")),
        }
    }

    /// Whether a form with this token was made by our own page.
    pub fn may_post(&self, csrf: &str) -> bool {
        !self.csrf_is_new && self.trusted_fetch && same(csrf.as_bytes(), self.csrf.as_bytes())
    }

    /// Adds the cookies a page needs before its forms work, and forgets what the page has told.
    pub fn greet(&self, headers: &mut HeaderMap) {
        if self.csrf_is_new {
            self.set(headers, CSRF, &self.csrf, MONTH_S);
        }
        if self.flash.is_some() && !self.is_live {
            self.set(headers, FLASH, "", 0);
        }
    }

    /// With a session comes a new form token: one from before may be known to whoever used this browser then.
    pub fn log_in(&self, headers: &mut HeaderMap, session: &Session) {
        let user = [("id", &session.user.id), ("name", &session.user.name)];
        let user = form_urlencoded::Serializer::new(String::new()).extend_pairs(user).finish();
        self.set(headers, SESSION, &session.access_token, session.expires_in);
        self.set(headers, USER, &user, session.expires_in);
        self.set(headers, CSRF, &fresh_csrf(), MONTH_S);
    }

    pub fn log_out(&self, headers: &mut HeaderMap) {
        self.set(headers, SESSION, "", 0);
        self.set(headers, USER, "", 0);
        self.set(headers, FLASH, "", 0);
    }

    pub fn tell(&self, headers: &mut HeaderMap, flash: &Flash) {
        self.set(headers, FLASH, &flash.to_cookie(), FLASH_S);
    }

    pub fn choose_theme(&self, headers: &mut HeaderMap, theme: Theme) {
        self.set(headers, THEME, theme.name(), 12 * MONTH_S);
    }

    fn set(&self, headers: &mut HeaderMap, name: &str, value: &str, seconds: u64) {
        let secure = if self.tls { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(SET_COOKIE, value);
        }
    }
}

fn fresh_csrf() -> String {
    service::request_id::random_hex(16)
}

/// Whether the browser speaks TLS to the proxy in front of us.
pub fn is_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Who a cookie names. The id becomes part of an address, where nothing else may stand.
fn user(text: &str) -> Option<User> {
    let field = |name| form_urlencoded::parse(text.as_bytes()).find(|(key, _)| key == name);
    let (id, name) = (field("id")?.1, field("name")?.1);
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| User { id: id.into_owned(), name: name.into_owned() })
}

/// Compares without telling by its duration where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(cookies: &str, fetch_site: &str) -> Visitor {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookies.parse().unwrap());
        headers.insert("sec-fetch-site", fetch_site.parse().unwrap());
        Visitor::of(&headers)
    }

    const KNOWN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_form_of_our_own_page_may_be_posted() {
        assert!(visitor(&format!("a=b; todo_csrf={KNOWN}"), "same-origin").may_post(KNOWN));
    }

    #[test]
    fn a_form_without_the_right_token_is_refused() {
        let visitor = visitor(&format!("todo_csrf={KNOWN}"), "same-origin");
        assert!(!visitor.may_post(""));
        assert!(!visitor.may_post("0123456789abcdef0123456789abcdee"));
    }

    #[test]
    fn a_browser_without_the_cookie_cannot_post_even_with_a_guess() {
        let visitor = visitor("other=1", "same-origin");
        assert!(!visitor.may_post(&visitor.csrf.clone()));
    }

    #[test]
    fn a_form_on_another_site_is_refused_even_with_the_token() {
        for site in ["cross-site", "same-site"] {
            assert!(!visitor(&format!("todo_csrf={KNOWN}"), site).may_post(KNOWN));
        }
    }

    fn session() -> Session {
        let user = User { id: "0c1d-9".to_owned(), name: "R\u{e4}ndi; x=1, \"y\"".to_owned() };
        Session { access_token: "token".to_owned(), expires_in: 60, user }
    }

    #[test]
    fn who_logged_in_is_known_from_the_cookie() {
        let mut answer = HeaderMap::new();
        visitor("", "none").log_in(&mut answer, &session());
        let pairs =
            answer.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()?.split(';').next());
        let user = visitor(&pairs.collect::<Vec<_>>().join("; "), "none").user.unwrap();
        assert_eq!((user.id, user.name), (session().user.id, session().user.name));
    }

    #[test]
    fn an_id_that_would_change_the_address_is_nobody() {
        for text in ["id=..&name=x", "id=a/b&name=x", "id=&name=x", "id=a%3Fb&name=x", "name=x", ""] {
            assert!(user(text).is_none(), "{text}");
        }
    }

    #[test]
    fn cookies_cannot_be_read_by_scripts_and_are_secure_under_tls() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let visitor = Visitor::of(&headers);
        let mut answer = HeaderMap::new();
        visitor.log_in(&mut answer, &session());
        let cookies: Vec<&str> =
            answer.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
        assert_eq!(cookies.len(), 3, "the session, whose it is, and a new form token");
        for cookie in cookies {
            assert!(
                cookie.contains("; HttpOnly; SameSite=Lax; ") && cookie.ends_with("; Secure"),
                "{cookie}"
            );
        }
    }
}
