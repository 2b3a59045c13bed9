"""Rules between parameters, which OpenAPI 3.0 has no words for: schemathesis would take a request that breaks one
for a valid one. That each is refused is tested in tests/it/http.rs."""

import json
import secrets
import urllib.request

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    query = case.query or {}
    if says_twice(case.body):
        return False
    if "after" in query and "offset" in query:
        return False
    try:
        return float(query["min_price"]) <= float(query["max_price"])
    except (KeyError, TypeError, ValueError):
        return True


def says_twice(body):
    """Whether a batch has one sku for two products, or an order two lines for one product."""
    if isinstance(body, dict) and isinstance(body.get("lines"), list):
        items, key = body["lines"], "product_id"
    elif isinstance(body, list):
        items, key = body, "sku"
    else:
        return False
    found = [json.dumps(item.get(key)) for item in items if isinstance(item, dict)]
    return len(found) != len(set(found))


@schemathesis.auth(refresh_interval=60)
class SignedIn:
    """A user of its own, so that requests that write are not all refused."""

    def get(self, case, context):
        base = case.operation.base_url.rstrip("/")
        user = {"name": "tester-" + secrets.token_hex(8), "password": secrets.token_hex(16)}
        send(base + "/auth/register", user)
        return send(base + "/auth/login", user)["access_token"]

    def set(self, case, data, context):
        # Who signs out would be nobody from then on.
        if case.operation.path != "/auth/logout":
            case.headers = {**(case.headers or {}), "Authorization": "Bearer " + data}


def send(url, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
