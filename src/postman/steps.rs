//! A step of the folder *contract*: a request, the answer that the document promises, and what else must
//! be true of it.

use serde_json::Value;

use super::build::{self, Listen, Pair, Request};
use super::{Undocumented, schema};

/// A request and what must be true of its answer.
pub(super) struct Step {
    name: &'static str,
    request: Request,
    status: u16,
    /// The method of the operation whose answer this is, where the request's own has none.
    documented: Option<&'static str>,
    before: String,
    after: String,
}

impl Step {
    /// A request for what the document has at this path; its answer has this status.
    pub fn new(name: &'static str, method: &str, path: &str, status: u16) -> Self {
        // What is compared must not be compressed.
        let identity = Pair::new("Accept-Encoding", "identity");
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![identity],
            ..Request::default()
        };
        let (before, after) = (String::new(), String::new());
        Self { name, request, status, documented: None, before, after }
    }

    pub fn about(mut self, description: &str) -> Self {
        description.clone_into(&mut self.request.description);
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.request.variables.push(Pair::new(name, value));
        self
    }

    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.request.query.extend(pairs.iter().map(|(key, value)| Pair::new(key, value)));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push(Pair::new(name, value));
        self
    }

    pub fn body(mut self, json: &str) -> Self {
        self.request.body = Some(json.to_owned());
        self
    }

    /// With the token of the variable `accessToken`.
    pub fn signed_in(mut self) -> Self {
        self.request.signed_in = true;
        self
    }

    /// The answer is documented beside this method.
    pub fn documented_for(mut self, method: &'static str) -> Self {
        self.documented = Some(method);
        self
    }

    /// Runs before the request.
    pub fn before(mut self, script: &str) -> Self {
        self.before.push_str(script);
        self
    }

    /// Runs with the answer, after the tests that every step has.
    pub fn after(mut self, script: &str) -> Self {
        self.after.push('\n');
        self.after.push_str(script.trim_matches('\n'));
        self.after.push('\n');
        self
    }

    /// The answer is this kind of problem.
    pub fn problem(self, kind: &str) -> Self {
        let test = format!(
            r#"pm.test("the problem is {kind}", () => {{
    pm.expect(pm.response.json().type).to.equal("urn:poolwise:problem:{kind}");
}});"#
        );
        self.after(&test)
    }

    /// As an item of the collection.
    ///
    /// # Errors
    /// When the document has no such answer.
    pub fn item(&self, document: &Value) -> Result<Value, Undocumented> {
        let method = self.documented.unwrap_or(&self.request.method);
        let asked = (method, &*self.request.path, self.status);
        let answer = schema::of_answer(document, asked).ok_or_else(|| Undocumented {
            method: method.to_uppercase(),
            path: self.request.path.clone(),
            status: self.status,
        })?;
        let status = self.status;
        let mut tests = format!(
            "pm.test(\"the status is {status}\", () => pm.response.to.have.status({status}));\n"
        );
        match answer {
            Some((media_type, schema)) => {
                tests += &format!(
                    r#"pm.test("it is {media_type}", () => {{
    pm.expect(pm.response.headers.get("Content-Type")).to.match(/^{pattern}(;|$)/);
}});
const schema = {schema};
pm.test("the body is as the OpenAPI document says", () => pm.response.to.have.jsonSchema(schema));
"#,
                    pattern = media_type.replace('/', "\\/").replace('+', "\\+"),
                );
            }
            None => {
                tests += "pm.test(\"there is no body\", () => pm.response.to.not.have.body());\n"
            }
        }
        let scripts = [
            build::script(Listen::Before, &self.before),
            build::script(Listen::After, &(tests + &self.after)),
        ];
        Ok(build::item(self.name, &self.request, scripts, Vec::new()))
    }
}
