//! Requests that do more than list: which task a request is, of which product, for whom. A pure
//! function of the seed and the request's number, as [`super::Keys`] is of what lists ask for.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use hyper::{Method, Request, Uri};
use serde_json::json;

use super::connection::Plain;
use crate::lab::plan::{Task, Tasks};
use crate::lab::random;

/// The most products in an order.
const MOST_LINES: u64 = 3;
/// What an update sets the stock to, at least; so that orders never run out for long.
const STOCK: u64 = 1_000;

/// `Authorization` of each user: it may be another one at any time.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<RwLock<Vec<HeaderValue>>>);

impl Tokens {
    /// Those of so many users.
    pub fn new(tokens: Vec<HeaderValue>) -> Self {
        Self(Arc::new(RwLock::new(tokens)))
    }

    /// The one of request `i`; `None` where nobody is signed in.
    pub fn of(&self, i: u64) -> Option<HeaderValue> {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let place = (i as usize).checked_rem(tokens.len())?;
        Some(tokens[place].clone())
    }

    /// From now on the user at this place has this one.
    pub fn renew(&self, place: usize, token: HeaderValue) {
        self.0.write().unwrap_or_else(PoisonError::into_inner)[place] = token;
    }
}

/// What tasks other than lists need to know.
#[derive(Debug, Clone)]
pub struct Shop {
    /// How often each task is done.
    pub tasks: Tasks,
    /// Products to read, order and update: their ids, at least one.
    pub products: Vec<i64>,
    /// Of at least one user where something writes.
    pub tokens: Tokens,
    /// Decides which request does what.
    pub seed: u64,
}

impl Shop {
    /// What request `i` does.
    pub fn task(&self, i: u64) -> Task {
        let share = random::share(self.draw(i, 0), 0);
        let mut up_to = 0.0;
        let found = Task::ALL.into_iter().find(|task| {
            up_to += self.tasks.share(*task);
            share < up_to
        });
        // Only a rounding error in the last share could lead past it.
        found.unwrap_or(Task::List)
    }

    /// The request of a task other than a list, for this strategy.
    pub(super) fn request(&self, task: Task, i: u64, strategy: &str) -> Plain {
        match task {
            Task::List | Task::Detail => plain(Method::GET, &detail(strategy, self.product(i, 1))),
            Task::Order => {
                let lines = 1 + self.draw(i, 2) % MOST_LINES.min(self.products.len() as u64);
                // Side by side in the list, so that none is there twice.
                let first = self.place(i, 1);
                let product = |line| self.products[(first + line as usize) % self.products.len()];
                let lines: Vec<_> = (0..lines)
                    .map(|line| json!({"product_id": product(line), "quantity": 1}))
                    .collect();
                self.write(Method::POST, "/orders", i, json!({"lines": lines}))
            }
            Task::Update => {
                let stock = STOCK + self.draw(i, 3) % STOCK;
                let path = format!("/products/{}", self.product(i, 1));
                let mut request = self.write(Method::PATCH, &path, i, json!({"stock": stock}));
                request.headers_mut().insert(IF_MATCH, HeaderValue::from_static("*"));
                request
            }
        }
    }

    fn write(&self, method: Method, path: &str, i: u64, body: serde_json::Value) -> Plain {
        let mut request = plain(method, path);
        *request.body_mut() = Full::new(Bytes::from(body.to_string()));
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let token = self.tokens.of(i).expect("somebody has signed in where something writes");
        headers.insert(AUTHORIZATION, token);
        request
    }

    fn product(&self, i: u64, purpose: u64) -> i64 {
        self.products[self.place(i, purpose)]
    }

    fn place(&self, i: u64, purpose: u64) -> usize {
        ((u128::from(self.draw(i, purpose)) * self.products.len() as u128) >> 64) as usize
    }

    /// A number for each purpose of each request.
    fn draw(&self, i: u64, purpose: u64) -> u64 {
        random::draw(random::draw(self.seed, purpose), i)
    }
}

/// Where a strategy answers with one product.
pub fn detail(strategy: &str, product: i64) -> String {
    format!("/strategies/{strategy}/products/{product}")
}

fn plain(method: Method, path: &str) -> Plain {
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(path).expect("a path that could be asked for, and a number");
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Shop {
        Shop {
            tasks: Tasks { list: 3, detail: 2, order: 1, update: 0 },
            products: (1..=100).collect(),
            tokens: Tokens::new(["Bearer a", "Bearer b"].map(HeaderValue::from_static).into()),
            seed: 7,
        }
    }

    #[test]
    fn tasks_come_as_often_as_their_weights_say() {
        let shop = shop();
        let count = |task| (0..60_000).filter(|i| shop.task(*i) == task).count() as f64 / 10_000.0;
        for (task, weight) in Task::ALL.into_iter().zip([3.0, 2.0, 1.0, 0.0]) {
            assert!((count(task) - weight).abs() < 0.1, "{task:?}: {}", count(task));
        }
    }

    #[test]
    fn an_order_never_names_a_product_twice() {
        let mut shop = shop();
        shop.products.truncate(2);
        for i in 0..200 {
            let body = shop.request(Task::Order, i, "/x").into_body();
            let bytes =
                futures_util::FutureExt::now_or_never(http_body_util::BodyExt::collect(body));
            let bytes = bytes.expect("it is in memory").expect("it cannot fail").to_bytes();
            let order: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
            let lines = order["lines"].as_array().expect("a list");
            let mut ids: Vec<i64> =
                lines.iter().map(|line| line["product_id"].as_i64().expect("a number")).collect();
            ids.dedup();
            assert!(ids.len() == lines.len() && (1..=2).contains(&ids.len()), "{order}");
        }
    }

    #[test]
    fn requests_are_the_same_for_everyone_and_belong_to_somebody() {
        let (one, other) = (shop(), shop());
        for i in 0..50 {
            let task = one.task(i);
            let [a, b] = [&one, &other].map(|shop| shop.request(task, i, "a"));
            assert_eq!((a.uri(), a.method()), (b.uri(), b.method()));
            assert_eq!(a.headers().contains_key(AUTHORIZATION), task.writes());
        }
    }
}
