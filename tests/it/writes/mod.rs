//! Products and orders are written, on every backend.

mod bad_input;
mod categories;
mod concurrency;
mod faults;
mod idempotency;
mod orders;
mod products;
mod settings;
mod statements;

use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Database, FEW, Service, Setup, unique};

/// A service over a database of its own, and somebody who is signed in.
pub struct Shop {
    pub service: Service,
    pub database: Database,
    token: String,
}

impl Shop {
    pub async fn open(backend: Backend) -> Self {
        Self::over(Database::scratch(backend, FEW).await, "").await
    }

    pub async fn over(database: Database, toml: &str) -> Self {
        let patient = "database = { pool_size = 6, wait_timeout = \"30s\", max_waiting = 0 }";
        let setup = Setup::of(&database).with(patient).with(toml);
        Self::of(setup.start().await, database).await
    }

    pub async fn of(service: Service, database: Database) -> Self {
        let token = service.sign_in().await;
        Self { service, database, token }
    }

    /// A request of whoever is signed in, with a body of JSON.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", &*bearer), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.service.client.send_body(method, path, &all, body.into().into()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, &[], body.to_string()).await
    }

    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, &[("idempotency-key", key)], body.to_string()).await
    }

    pub async fn patch(&self, id: i64, tag: &str, body: &Value) -> Answer {
        let path = format!("/products/{id}");
        self.ask(Method::PATCH, &path, &[("if-match", tag)], body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    pub async fn product(&self, id: i64) -> Answer {
        let answer = self.service.client.get(&format!("/products/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub async fn stock(&self, id: i64) -> i64 {
        self.product(id).await.json()["stock"].as_i64().expect("a number")
    }

    /// Sets the stock of a product.
    pub async fn restock(&self, id: i64, stock: i64) {
        let answer = self.patch(id, "*", &json!({ "stock": stock })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// A product that nobody has made yet.
pub fn lamp() -> Value {
    json!({
        "sku": unique("LAMP-"), "name": "Lamp", "category": "lamps", "price": 12.5, "stock": 3,
    })
}

/// An order of these products and quantities.
pub fn order(lines: &[(i64, i64)]) -> Value {
    let lines =
        lines.iter().map(|(id, quantity)| json!({ "product_id": id, "quantity": quantity }));
    json!({ "lines": Value::from_iter(lines) })
}

/// Status and the last word of the problem's type.
pub fn refused(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.problem())
}
