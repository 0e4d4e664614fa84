//! What the scheduler and the autoscaler count in: thousandths, which keep shares of a processor exact.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The quantity in thousandths, rounded up; `None` when it is not a quantity.
pub fn milli(quantity: &Quantity) -> Option<i128> {
    kubernetes_quantity::Quantity::parse(quantity.0.trim()).map(kubernetes_quantity::Quantity::milli)
}
