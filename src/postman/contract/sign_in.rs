//! A user and its tokens.

use super::Step;

pub(super) fn steps() -> Vec<Step> {
    let new_user = r#"
const name = `newman-${pm.variables.replaceIn("{{$guid}}").replaceAll("-", "").slice(0, 20)}`;
pm.collectionVariables.set("userName", name);
pm.collectionVariables.set("password", pm.variables.replaceIn("{{$guid}}"));
"#;
    let credentials = r#"{ "name": "{{userName}}", "password": "{{password}}" }"#;
    let user = r#"
pm.test("it has the name", () => {
    pm.expect(pm.response.json().name).to.equal(pm.collectionVariables.get("userName"));
});
"#;
    let tokens = r#"
pm.test("nobody may keep the answer", () => {
    pm.expect(pm.response.headers.get("Cache-Control")).to.equal("no-store");
});
const tokens = pm.response.json();
pm.test("the token is of a known type and holds for a while", () => {
    pm.expect(tokens.token_type).to.equal("Bearer");
    pm.expect(tokens.expires_in).to.be.above(0);
});
"#;
    let keep = r#"
pm.collectionVariables.set("accessToken", tokens.access_token);
pm.collectionVariables.set("refreshToken", tokens.refresh_token);
"#;
    let others = r#"
pm.test("both tokens are new", () => {
    pm.expect(tokens.access_token).to.not.equal(pm.collectionVariables.get("accessToken"));
    pm.expect(tokens.refresh_token).to.not.equal(pm.collectionVariables.get("refreshToken"));
});
"#;
    vec![
        Step::new("A new user", "post", "/auth/register", 201)
            .before(new_user)
            .body(credentials)
            .after(user),
        Step::new("A name that is taken", "post", "/auth/register", 409)
            .body(credentials)
            .problem("taken"),
        Step::new("A wrong password", "post", "/auth/login", 401)
            .body(r#"{ "name": "{{userName}}", "password": "a wrong one" }"#)
            .problem("unauthorized"),
        Step::new("Signed in", "post", "/auth/login", 200)
            .body(credentials)
            .after(tokens)
            .after(keep),
        Step::new("Other tokens for the refresh token", "post", "/auth/refresh", 200)
            .body(r#"{ "refresh_token": "{{refreshToken}}" }"#)
            .after(tokens)
            .after(others)
            .after(keep),
    ]
}

pub(super) fn out() -> Vec<Step> {
    let forget = r#"
for (const name of ["accessToken", "refreshToken", "password"]) pm.collectionVariables.unset(name);
"#;
    vec![
        Step::new("Signed out", "post", "/auth/logout", 204).signed_in(),
        Step::new("The token holds no longer", "get", "/orders", 401)
            .signed_in()
            .problem("unauthorized"),
        Step::new("Nor does the refresh token", "post", "/auth/refresh", 401)
            .body(r#"{ "refresh_token": "{{refreshToken}}" }"#)
            .problem("unauthorized")
            .after(forget),
    ]
}
