//! DefaultTolerationSeconds: pods outlive a node's short outage.

use serde_json::{Value, json};

use super::{items, push};
use crate::server::Cx;
use crate::status::ApiError;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const SECONDS: u32 = 300;

pub(super) fn tolerate_short_outages(
    _cx: &Cx,
    pod: &mut Value,
    _old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec.is_object()) else { return Ok(()) };
    for key in [NOT_READY, UNREACHABLE] {
        let tolerated = |toleration: &Value| {
            let effect = toleration["effect"].as_str().unwrap_or("");
            let named = toleration["key"].as_str().unwrap_or("");
            (named == key || named.is_empty()) && matches!(effect, "NoExecute" | "")
        };
        if !items(spec, "tolerations").iter().any(tolerated) {
            let seconds = json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS });
            push(spec, "tolerations", seconds);
        }
    }
    Ok(())
}
