//! Looks at a server before it serves: is it new enough, and has it the table that we read?
//!
//! In statements without a name, because a pooler may be in between.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::super::{COLUMNS, KINDS, Kind};
use super::{decode, failure};
use crate::store::{ErrorKind, StoreError};

/// The oldest server that serves. Identity columns and `pg_stat_activity.backend_type` are of version 10;
/// 11 is what YugabyteDB calls itself.
const OLDEST: i64 = 11;

/// Fails for a server that is too old.
pub(super) async fn version(client: &Client) -> Result<(), StoreError> {
    const VERSION: &str =
        "select current_setting('server_version_num')::int8, current_setting('server_version')";
    let row = client.query_typed_one(VERSION, &[]).await.map_err(statement_error)?;
    match too_old(row.get(0), row.get(1)) {
        Some(problem) => Err(StoreError::new(ErrorKind::Refused, problem)),
        None => Ok(()),
    }
}

/// Why a server of this version does not serve (`server_version_num`: 150003 is 15.3, 90624 is 9.6.24).
fn too_old(number: i64, name: &str) -> Option<String> {
    (number / 10_000 < OLDEST)
        .then(|| format!("the server is PostgreSQL {name}; use one of version {OLDEST} or later"))
}

/// Whether there is a product; `None` without a table.
///
/// # Errors
/// Also for a server that is too old, and a table of another shape.
pub(super) async fn products(client: &Client) -> Result<Option<bool>, StoreError> {
    // A domain is sent as the type that it is made from.
    const SHAPE: &str = "select attname::text, \
        (case typtype when 'd' then typbasetype else t.oid end)::int8, format_type(t.oid, null) \
        from pg_attribute join pg_type t on t.oid = atttypid \
        where attrelid = to_regclass('products') and attnum > 0 and not attisdropped";
    const ROWS: &str = "select exists (select from products)";
    version(client).await?;
    let shape = client.query_typed(SHAPE, &[]).await.map_err(statement_error)?;
    if shape.is_empty() {
        return Ok(None);
    }
    let found: Vec<Column> = shape
        .iter()
        .map(|row| Column { name: row.get(0), oid: row.get::<_, i64>(1) as u32, ty: row.get(2) })
        .collect();
    let problems = problems(&found);
    if !problems.is_empty() {
        return Err(StoreError::new(
            ErrorKind::NotPrepared,
            format_args!(
                "the table products is of another shape: {}; rename it and run `poolwise seed`, or \
                 correct the columns",
                problems.join("; ")
            ),
        ));
    }
    let row = client.query_typed_one(ROWS, &[]).await.map_err(statement_error)?;
    Ok(Some(row.get(0)))
}

/// A column of the table as it is.
struct Column {
    name: String,
    oid: u32,
    ty: String,
}

fn problems(found: &[Column]) -> Vec<String> {
    let wanted = COLUMNS.iter().zip(KINDS);
    wanted.filter_map(|(name, kind)| problem(found, name, kind)).collect()
}

fn problem(found: &[Column], name: &str, kind: Kind) -> Option<String> {
    let Some(column) = found.iter().find(|column| column.name == name) else {
        return Some(format!("column {name} is missing"));
    };
    if Type::from_oid(column.oid).is_some_and(|ty| decode::accepts(&ty, kind)) {
        return None;
    }
    let types: Vec<&str> = decode::types(kind).iter().map(|ty| ty.name()).collect();
    Some(format!("column {name} is of type {}, not {}", column.ty, types.join(" or ")))
}

fn statement_error(error: Error) -> StoreError {
    failure::of_statement(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_before_version_11_is_too_old() {
        for (number, name) in [(90_624, "9.6.24"), (100_023, "10.23"), (80_002, "8.0.2")] {
            let problem = too_old(number, name).expect("it is too old");
            assert!(problem.contains(name) && problem.contains("version 11 or later"), "{problem}");
        }
        for (number, name) in [(110_002, "11.2-YB-2.20"), (150_003, "15.3"), (180_000, "18.0")] {
            assert_eq!(too_old(number, name), None);
        }
    }

    #[test]
    fn every_column_of_another_shape_is_named() {
        let column = |name: &str, ty: &Type| Column {
            name: name.into(),
            oid: ty.oid(),
            ty: ty.name().into(),
        };
        let first = |kind| decode::types(kind)[0].clone();
        let mut found: Vec<Column> =
            COLUMNS.iter().zip(KINDS).map(|(name, kind)| column(name, &first(kind))).collect();
        assert!(problems(&found).is_empty());
        found[4] = column("price", &Type::FLOAT8);
        found.remove(1);
        let problems = problems(&found);
        let expected = ["column sku is missing", "column price is of type float8, not numeric"];
        assert_eq!(problems, expected);
    }
}
