//! The endpoints of single products: reading, making, changing and deleting them; and the categories.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};

use super::answer::{One, Products, answer};
use super::api::{Asked, Tag};
use super::document::{Batch, Sent};
use super::error::Problem;
use super::parameters::NoQuery;
use super::write::{Desk, IdempotencyKey, IfMatch, problem_of};
use super::written::{ChangedOne, ManyCategories, NewMany, NewOne, Written};
use super::{SignedIn, State};
use crate::catalogue::{NewProduct, ProductPatch};
use crate::query::ProductQuery;
use crate::store::write::{Change, Expected};

/// The endpoints, over what every request can see.
pub(super) struct ProductsApi {
    pub state: Arc<State>,
}

#[derive(ApiResponse)]
enum Deleted {
    /// There is no such product any more
    #[oai(status = 204)]
    Done,
}

impl ProductsApi {
    async fn change(
        &self,
        id: i64,
        expected: Expected,
        (change, sku): (Change, Option<String>),
        asked: &Asked<'_>,
    ) -> Result<Vec<u8>, Problem> {
        let desk = Desk::of(&self.state, asked)?;
        let sent: Vec<_> = sku.into_iter().map(|sku| ("/sku".to_owned(), sku)).collect();
        let changed = desk.catalogue.change(id, expected, change, &desk.context).await;
        changed.map_err(|refusal| problem_of(refusal, asked.info, &sent))
    }
}

#[OpenApi]
impl ProductsApi {
    /// Make a product
    ///
    /// With an `Idempotency-Key` it can be repeated: a repeat gets the first answer.
    #[oai(
        path = "/products",
        method = "post",
        operation_id = "create_product",
        tag = "Tag::Products"
    )]
    async fn create(
        &self,
        user: SignedIn,
        key: IdempotencyKey,
        _none: NoQuery,
        sent: Sent<NewProduct>,
        asked: Asked<'_>,
    ) -> Result<Written<NewOne>, Problem> {
        let desk = Desk::of(&self.state, &asked)?;
        let skus = [("/sku".to_owned(), sent.value.sku().to_owned())];
        let key = key.of(user.user(), asked.info, &sent.bytes);
        let keyed = key.is_some();
        let made = desk.catalogue.create(sent.value, key, &desk.context).await;
        let made = made.map_err(|refusal| problem_of(refusal, asked.info, &skus))?;
        desk.tidy(&self.state, keyed);
        Ok(Written::new(made.body).at(format!("/products/{}", made.id)))
    }

    /// Make several products
    ///
    /// 1 to 1,000 of them, all or none. With an `Idempotency-Key` it can be repeated.
    #[oai(
        path = "/products/batch",
        method = "post",
        operation_id = "create_products",
        tag = "Tag::Products"
    )]
    async fn create_all(
        &self,
        user: SignedIn,
        key: IdempotencyKey,
        _none: NoQuery,
        sent: Sent<Batch>,
        asked: Asked<'_>,
    ) -> Result<Written<NewMany>, Problem> {
        let desk = Desk::of(&self.state, &asked)?;
        let Batch(products) = sent.value;
        let place =
            |(n, product): (usize, &NewProduct)| (format!("/{n}/sku"), product.sku().into());
        let skus: Vec<_> = products.iter().enumerate().map(place).collect();
        let key = key.of(user.user(), asked.info, &sent.bytes);
        let keyed = key.is_some();
        let made = desk.catalogue.create_all(products, key, &desk.context).await;
        let made = made.map_err(|refusal| problem_of(refusal, asked.info, &skus))?;
        desk.tidy(&self.state, keyed);
        Ok(Written::new(made.body))
    }

    /// One product
    #[oai(
        path = "/products/:id",
        method = "get",
        operation_id = "get_product",
        tag = "Tag::Products"
    )]
    async fn product(
        &self,
        id: Path<i64>,
        _none: NoQuery,
        asked: Asked<'_>,
    ) -> Result<Products<One>, Problem> {
        let pooled = self.state.strategies.load().get("pooled").cloned();
        let pooled = pooled.expect("config always has it");
        let timeout = self.state.config.load().server.request_timeout;
        answer(&pooled, &ProductQuery::by_id(id.0), asked.headers, asked.info, timeout).await
    }

    /// Replace a product
    ///
    /// All of it but its number. Replacing it by what it is changes nothing.
    #[oai(
        path = "/products/:id",
        method = "put",
        operation_id = "replace_product",
        tag = "Tag::Products"
    )]
    async fn replace(
        &self,
        _user: SignedIn,
        id: Path<i64>,
        expected: IfMatch,
        _none: NoQuery,
        sent: Sent<NewProduct>,
        asked: Asked<'_>,
    ) -> Result<Written<ChangedOne>, Problem> {
        let sku = Some(sent.value.sku().to_owned());
        let change = (Change::Replace(sent.value), sku);
        self.change(id.0, expected.0, change, &asked).await.map(Written::new)
    }

    /// Change a product
    ///
    /// What is not sent stays as it is (RFC 7396; nothing can be removed).
    #[oai(
        path = "/products/:id",
        method = "patch",
        operation_id = "change_product",
        tag = "Tag::Products"
    )]
    async fn patch(
        &self,
        _user: SignedIn,
        id: Path<i64>,
        expected: IfMatch,
        _none: NoQuery,
        sent: Sent<ProductPatch>,
        asked: Asked<'_>,
    ) -> Result<Written<ChangedOne>, Problem> {
        let sku = sent.value.sku().map(str::to_owned);
        let change = (Change::Patch(sent.value), sku);
        self.change(id.0, expected.0, change, &asked).await.map(Written::new)
    }

    /// Delete a product
    ///
    /// Orders keep what it was.
    #[oai(
        path = "/products/:id",
        method = "delete",
        operation_id = "delete_product",
        tag = "Tag::Products"
    )]
    async fn delete(
        &self,
        _user: SignedIn,
        id: Path<i64>,
        expected: IfMatch,
        _none: NoQuery,
        asked: Asked<'_>,
    ) -> Result<Deleted, Problem> {
        self.change(id.0, expected.0, (Change::Delete, None), &asked).await?;
        Ok(Deleted::Done)
    }

    /// Every category, with how many products it has
    ///
    /// From memory, until a write through this service, or through a replica that shares a Redis with it,
    /// changes it or `cache.categories_ttl` is over.
    #[oai(
        path = "/categories",
        method = "get",
        operation_id = "list_categories",
        tag = "Tag::Products"
    )]
    async fn categories(
        &self,
        _none: NoQuery,
        asked: Asked<'_>,
    ) -> Result<Written<ManyCategories>, Problem> {
        let Desk { catalogue, context } = Desk::of(&self.state, &asked)?;
        let config = self.state.config.load();
        // Where no cache of theirs tells replicas of each other's writes, nothing is kept.
        let alone = config.server.replicas == 1;
        let told = alone || self.state.versions.are_shared();
        let ttl = if told { config.cache.categories_ttl } else { Duration::ZERO };
        let body = self.state.categories.get(&catalogue, ttl, &context).await;
        let body = body.map_err(|error| problem_of(error.into(), asked.info, &[]))?;
        Ok(Written::unless_known(body, asked.headers))
    }
}
