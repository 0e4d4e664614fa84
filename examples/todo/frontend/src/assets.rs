//! The style sheet, the script, the fonts and the icon, compiled in: the container has no files to lose.
//!
//! Pages name them with a mark of their content ([`href`]), so a browser may keep them for good and still sees
//! every change at once.

use axum::extract::{Path, RawQuery};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
    mark: u64,
}

const fn asset(name: &'static str, kind: &'static str, content: &'static [u8]) -> Asset {
    Asset { name, kind, content, mark: mark(content) }
}

/// One script for the browser, a file for each concern here; they share one scope. `page.js` comes first, `start.js` last.
const SCRIPT: &str = concat!(
    include_str!("../assets/script/page.js"),
    include_str!("../assets/script/adopt.js"),
    include_str!("../assets/script/attention.js"),
    include_str!("../assets/script/forms.js"),
    include_str!("../assets/script/drafts.js"),
    include_str!("../assets/script/views.js"),
    include_str!("../assets/script/chat.js"),
    include_str!("../assets/script/live.js"),
    include_str!("../assets/script/keys.js"),
    include_str!("../assets/script/start.js"),
);

static ASSETS: [Asset; 6] = [
    asset("app.css", "text/css; charset=utf-8", include_bytes!("../assets/app.css")),
    asset("app.js", "text/javascript; charset=utf-8", SCRIPT.as_bytes()),
    asset("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
    asset("app.webmanifest", "application/manifest+json", include_bytes!("../assets/app.webmanifest")),
    // Both under the SIL Open Font License, which lies beside them.
    asset("figtree.woff2", "font/woff2", include_bytes!("../assets/fonts/figtree.woff2")),
    asset("fraunces.woff2", "font/woff2", include_bytes!("../assets/fonts/fraunces.woff2")),
];

/// FNV-1a. Only has to differ when the content does; nobody is kept out by it.
const fn mark(content: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < content.len() {
        hash = (hash ^ content[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// The address of an asset as of this build.
pub fn href(name: &str) -> String {
    let mark = ASSETS.iter().find(|asset| asset.name == name).map_or(0, |asset| asset.mark);
    format!("/assets/{name}?v={mark:016x}")
}

pub async fn serve(Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // An address without the mark (fonts, named by the style sheet; another release's page) may be kept briefly only.
    let is_exact = query.is_some_and(|query| query == format!("v={:016x}", asset.mark));
    let kept = if is_exact { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
    ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, kept)], asset.content).into_response()
}
