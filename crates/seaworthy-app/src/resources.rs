//! How much of a machine a service asks for.

/// Requests and limits; a missing amount is filled in by the chart's documented defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Resources {
    pub requests: Amounts,
    pub limits: Amounts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    pub memory_bytes: Option<u64>,
}

/// Bounds and targets of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Autoscale {
    pub min: u32,
    pub max: u32,
    /// Percent of the request, averaged over the pods.
    pub cpu_percent: Option<u32>,
    pub memory_percent: Option<u32>,
}

impl Default for Autoscale {
    fn default() -> Self {
        Autoscale { min: 2, max: 5, cpu_percent: Some(70), memory_percent: Some(80) }
    }
}
