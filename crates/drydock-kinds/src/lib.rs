//! One file per kind and the catalog: scope, names, defaults, validation, columns, merge keys.
