//! The endpoints of orders.

use std::sync::Arc;

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::OpenApi;
use poem_openapi::param::Path;

use super::api::{Asked, Tag};
use super::document::Sent;
use super::error::{Kind, Problem};
use super::parameters::NoQuery;
use super::write::{Desk, IdempotencyKey, problem_of};
use super::written::{ManyOrders, OneOrder, PlacedOrder, Written};
use super::{SignedIn, State};
use crate::catalogue::NewOrder;
use crate::query::{ProductQuery, Start};
use crate::store::write::OrderPage;

/// Orders on a page where nothing is said.
const PAGE: u32 = 20;
/// Orders on the largest page.
const MAX_PAGE: u32 = 100;

/// The endpoints, over what every request can see.
pub(super) struct OrdersApi {
    pub state: Arc<State>,
}

/// `limit` and `after` of the URL.
struct PageQuery(OrderPage);

impl<'a> FromRequest<'a> for PageQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let text = request.uri().query().unwrap_or_default();
        Ok(Self(page(text).map_err(Problem::bad_parameters)?))
    }
}

fn page(text: &str) -> Result<OrderPage, Vec<crate::query::InvalidParameter>> {
    let (known, other): (Vec<_>, Vec<_>) = form_urlencoded::parse(text.as_bytes())
        .partition(|(name, _)| ["limit", "after"].contains(&&**name));
    let mut problems = Vec::new();
    let mut refuse = |name: &str, reason: String| {
        problems.push(crate::query::InvalidParameter { name: name.into(), reason });
    };
    for (name, _) in other.iter().take(20) {
        refuse(name, "is not known; known are limit, after".into());
    }
    let query = ProductQuery::from_pairs(known).map_err(|refused| {
        refused.into_iter().for_each(|bad| refuse(&bad.name, bad.reason));
    });
    let limit = query.as_ref().ok().and_then(ProductQuery::limit).unwrap_or(PAGE);
    if limit > MAX_PAGE {
        refuse("limit", format!("must be a whole number from 1 to {MAX_PAGE}"));
    }
    match query {
        Ok(query) if problems.is_empty() => {
            let after = match query.start() {
                Start::After(id) => Some(id),
                Start::First | Start::Offset(_) => None,
            };
            Ok(OrderPage { after, limit })
        }
        _ => Err(problems),
    }
}

#[OpenApi]
impl OrdersApi {
    /// Place an order
    ///
    /// Takes what is ordered out of the stock, all of it or nothing. With an `Idempotency-Key` it can be
    /// repeated: a repeat gets the first answer and takes nothing.
    #[oai(path = "/orders", method = "post", operation_id = "place_order", tag = "Tag::Orders")]
    async fn place(
        &self,
        user: SignedIn,
        key: IdempotencyKey,
        _none: NoQuery,
        sent: Sent<NewOrder>,
        asked: Asked<'_>,
    ) -> Result<Written<PlacedOrder>, Problem> {
        let desk = Desk::of(&self.state, &asked)?;
        let key = key.of(user.user(), asked.info, &sent.bytes);
        let keyed = key.is_some();
        let placed = desk.catalogue.place(sent.value, user.user(), key, &desk.context).await;
        let placed = placed.map_err(|refusal| problem_of(refusal, asked.info, &[]))?;
        desk.tidy(&self.state, keyed);
        Ok(Written::new(placed.body).at(format!("/orders/{}", placed.id)))
    }

    /// Your orders
    ///
    /// The newest first; the next page is `after` the last of this one.
    #[oai(path = "/orders", method = "get", operation_id = "list_orders", tag = "Tag::Orders")]
    async fn list(
        &self,
        user: SignedIn,
        page: PageQuery,
        asked: Asked<'_>,
    ) -> Result<Written<ManyOrders>, Problem> {
        let Desk { catalogue, context } = Desk::of(&self.state, &asked)?;
        let orders = catalogue.orders(page.0, user.user(), &context).await;
        let orders = orders.map_err(|error| problem_of(error.into(), asked.info, &[]))?;
        Ok(Written::unless_known(orders.into(), asked.headers))
    }

    /// One of your orders
    #[oai(path = "/orders/:id", method = "get", operation_id = "get_order", tag = "Tag::Orders")]
    async fn order(
        &self,
        user: SignedIn,
        id: Path<i64>,
        _none: NoQuery,
        asked: Asked<'_>,
    ) -> Result<Written<OneOrder>, Problem> {
        let Desk { catalogue, context } = Desk::of(&self.state, &asked)?;
        let order = catalogue.order(id.0, user.user(), &context).await;
        let order = order.map_err(|error| problem_of(error.into(), asked.info, &[]))?;
        let missing = || Problem::new(Kind::NotFound, "You have no order of this number.");
        Ok(Written::unless_known(order.ok_or_else(missing)?.into(), asked.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_limit_and_a_place_to_start_after() {
        assert_eq!(page(""), Ok(OrderPage { after: None, limit: PAGE }));
        assert_eq!(page("after=7&limit=100"), Ok(OrderPage { after: Some(7), limit: 100 }));
        for bad in ["limit=0", "limit=101", "after=-1", "after=x", "offset=1", "after=1&after=2"] {
            assert_eq!(page(bad).map_err(|refused| refused.len()), Err(1), "{bad}");
        }
    }
}
