//! Columns of the tables that `kubectl get` prints.
//!
//! For the API's table renderer. NAME is always first and comes from the object's metadata; a kind lists the rest.
//! A cell is computed from the object and the current time only.

use jiff::Timestamp;
use serde_json::Value;

/// One column of a kind's table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnType,
    pub description: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
    /// `name` for the column that holds the object's name, else empty.
    pub format: &'static str,
    cell: Cell,
}

/// The type a client is told, which decides alignment and sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    String,
    Integer,
    Boolean,
    Date,
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Text(&'static str),
    Number(&'static str),
    Age,
    Compute(fn(&Value, Timestamp) -> Value),
}

impl Column {
    /// A text found at a JSON pointer; empty when absent.
    pub const fn at(name: &'static str, pointer: &'static str) -> Self {
        Self::with(name, ColumnType::String, Cell::Text(pointer))
    }

    /// The object's name.
    pub const fn name() -> Self {
        let mut column = Self::at("Name", "/metadata/name");
        column.format = "name";
        column
    }

    /// A name that is decorated for printing.
    pub const fn named(cell: fn(&Value, Timestamp) -> Value) -> Self {
        let mut column = Self::compute("Name", cell);
        column.format = "name";
        column
    }

    /// A whole number found at a JSON pointer; 0 when absent.
    pub const fn number(name: &'static str, pointer: &'static str) -> Self {
        Self::with(name, ColumnType::Integer, Cell::Number(pointer))
    }

    /// A computed cell.
    pub const fn compute(name: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Self {
        Self::with(name, ColumnType::String, Cell::Compute(cell))
    }

    /// The time since creation.
    pub const fn age() -> Self {
        Self::with("Age", ColumnType::String, Cell::Age)
    }

    const fn with(name: &'static str, kind: ColumnType, cell: Cell) -> Self {
        Self { name, kind, description: "", priority: 0, format: "", cell }
    }

    pub const fn typed(mut self, kind: ColumnType) -> Self {
        self.kind = kind;
        self
    }

    pub const fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Shown only with `-o wide`.
    pub const fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }

    /// The cell of this column for `object`.
    pub fn value(&self, object: &Value, now: Timestamp) -> Value {
        match self.cell {
            Cell::Text(pointer) => text(object.pointer(pointer)),
            Cell::Number(pointer) => object.pointer(pointer).cloned().unwrap_or_else(|| Value::from(0)),
            Cell::Age => Value::from(age(object.pointer("/metadata/creationTimestamp"), now)),
            Cell::Compute(compute) => compute(object, now),
        }
    }
}

impl ColumnType {
    /// The name of the type in a table's column definition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }
}

fn text(found: Option<&Value>) -> Value {
    match found {
        None | Some(Value::Null) => Value::from(""),
        Some(Value::String(text)) => Value::from(text.as_str()),
        Some(other) => Value::from(other.to_string()),
    }
}

/// How long ago a timestamp was, in kubectl's words; `<unknown>` when it is missing or unreadable.
pub fn age(stamp: Option<&Value>, now: Timestamp) -> String {
    let then = stamp.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    then.map_or_else(|| "<unknown>".to_owned(), |then| duration(now.as_second() - then.as_second()))
}

/// A duration in at most two units: `3d4h`, `45m`, `2m5s`.
pub fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |major: i64, unit: char, minor: i64, small: char| match minor {
        0 => format!("{major}{unit}"),
        _ => format!("{major}{unit}{minor}{small}"),
    };
    // Steps as in `apimachinery/pkg/util/duration.HumanDuration`: precision shrinks as time grows.
    match seconds {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, 'm', seconds % MINUTE, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, 'h', seconds % HOUR / MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, 'd', seconds % DAY / HOUR, 'h'),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, 'y', seconds % YEAR / DAY, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}
