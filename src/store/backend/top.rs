//! What a database says of its own load: the slowest statements, who is connected, what takes room.

/// The ten of each are enough to see what is wrong.
pub const MOST: usize = 10;

/// What is known, or what to do so that it will be: plain sentences for an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<T> {
    /// So it is.
    Is(T),
    /// It cannot be told, and what would change that.
    Not(String),
}

/// A database's view of its load.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    /// The slowest on average first, at most [`MOST`].
    pub statements: Known<Vec<Statement>>,
    /// Clients connected to this database, by what they do.
    pub connections: Known<Vec<(String, u64)>>,
    /// The largest first, at most [`MOST`].
    pub tables: Known<Vec<Table>>,
}

/// A statement, with its values left out, since the server began to count.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Its text as the server keeps it.
    pub text: String,
    /// How often it ran.
    pub calls: u64,
    /// How long it ran on average, in ms.
    pub mean_ms: f64,
    /// How long it ran at most, in ms.
    pub max_ms: f64,
    /// How long it ran in all, in ms.
    pub total_ms: f64,
    /// Rows that it gave or changed in all.
    pub rows: u64,
}

/// A table and the room that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Bytes of its rows.
    pub table_bytes: u64,
    /// Bytes of its indexes.
    pub index_bytes: u64,
    /// About how many rows it has; `None` where nobody has counted.
    pub rows: Option<u64>,
}
