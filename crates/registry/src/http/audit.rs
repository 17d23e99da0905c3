//! The audit, page by page.

use seamesh_proto::audit::{AuditPage, AuditQuery};
use seamesh_proto::limits::{DEFAULT_PAGE, MAX_PAGE};
use seamesh_proto::{Code, Problem};

use super::call::{Answer, Call, json};
use super::problem::Failure;

pub(super) async fn list(call: Call) -> Answer {
    let AuditQuery {
        after,
        limit,
        newest,
    } = call.query()?;
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Failure::new(
            Code::BadField,
            format!("limit is 1 to {MAX_PAGE}"),
        ));
    }
    let rows = call.app.reader.audit(after, limit, newest).await;
    let rows = rows.map_err(Problem::from)?;
    let is_full = rows.len() == limit;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        records.push(row.map_err(|n| {
            let detail = format!("audit record {n} was changed: it is not what the registry wrote");
            tracing::error!(n, "an audit record was changed");
            Failure::new(Code::Internal, detail)
        })?);
    }
    let next_after = records.last().map(|r| r.n).filter(|_| is_full);
    Ok(json(&AuditPage {
        records,
        next_after,
    }))
}
