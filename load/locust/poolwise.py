"""What the scenarios share: users who check every answer, shapes made of stages, and a record of each request.

Every answer is asked for without compression, has the right status and as many rows as there must be, or it is a
failure that says what was wrong. Requests are named by route, so that the statistics have a line for each route and
not one for each product. Users who write register and sign in first.
"""

import csv
import itertools
import json
import random
import secrets
import time
import urllib.parse

from gevent import sleep
from locust import FastHttpUser, LoadTestShape, events
from locust.exception import StopUser

STRATEGIES = ("direct", "pooled", "cached")
# The twelve lists and eight products of config/lab/read.toml.
LISTS = (
    *({"limit": 20, "offset": offset} for offset in range(0, 140, 20)),
    {"category": "electronics", "limit": 20},
    {"category": "books", "limit": 20},
    {"category": "food", "limit": 20},
    {"in_stock": "true", "limit": 20},
    {"min_price": 10, "max_price": 50, "limit": 20},
)
PRODUCTS = (8, 121, 1000, 2049, 7501, 15001, 31001, 59001)
# How long a scenario takes with --short, in seconds.
SHORT = 2.0
# How often a sign-in is tried while the service says that it is busy.
SIGN_INS = 10


@events.init_command_line_parser.add_listener
def _(parser):
    group = parser.add_argument_group("Poolwise")
    group.add_argument("--short", action="store_true", help=f"The same in {SHORT:g} seconds")
    # Not of the web page: whoever sees it would choose which file is written.
    parser.add_argument("--records", metavar="FILE", default="", help="A line of CSV for each request", include_in_web_ui=False)


def alone(environment, what):
    """Ends a run of several processes, of which each would know of its own requests only."""
    options = environment.parsed_options
    if options and (options.master or options.worker):
        raise SystemExit(f"error: {what} is for one process: leave out --processes, --master and --worker")


@events.init.add_listener
def _(environment, **_):
    """Writes each request with its end, so that rates can be taken over any part of a run."""
    options = environment.parsed_options
    if not options or not options.records:
        return
    alone(environment, "--records")
    file = open(options.records, "w", encoding="utf-8", newline="")
    lines = csv.writer(file)
    lines.writerow(("ended", "milliseconds", "name", "rows", "failure"))

    def record(request_type, name, response_time, exception, context, start_time, **_):
        ended = start_time + response_time / 1000
        rows = context.get("seen", {}).get("rows", "")
        lines.writerow((f"{ended:.6f}", f"{response_time:.3f}", name, rows, exception or ""))

    environment.events.request.add_listener(record)
    environment.events.quitting.add_listener(lambda **_: file.close())


def rows_of(body):
    """Rows of a JSON array of products. Counting a key costs a hundredth of parsing 21,000 rows, which would take the
    one processor that Locust has; inside a text it would stand with a backslash before its second quote."""
    if not (body.startswith(b"[") and body.endswith(b"]")):
        return None
    return body.count(b'"sku":')


class Client(FastHttpUser):
    """Somebody who asks for products and checks what comes."""

    abstract = True
    # A request that takes longer has failed.
    connection_timeout = 5.0
    network_timeout = 30.0

    def context(self):
        """What listeners are given with the next request; it is filled in when the answer was looked at."""
        self.seen = {}
        return {"seen": self.seen}

    def request(self, method, path, name=None, headers=None, **body):
        """A request whose answer is judged in a with-block. Locust asks for compression unless it is told."""
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        return self.client.request(method, path, name=name, headers=headers, catch_response=True, **body)

    def products(self, strategy, rows, **parameters):
        """A list of products through a strategy, which must have `rows` of them. The body, or None."""
        path = f"/products/{strategy}?{urllib.parse.urlencode(parameters)}"
        with self.request("GET", path, f"/products/{strategy}") as answer:
            if not self.is_good(answer, 200):
                return None
            self.seen["rows"] = found = rows_of(answer.content)
            if found != rows:
                answer.failure(f"{'no JSON array' if found is None else f'{found} rows'} instead of {rows} rows")
                return None
            return answer.content

    def product(self, strategy, number):
        """One product through a strategy."""
        path = f"/strategies/{strategy}/products/{number}"
        name = f"/strategies/{strategy}/products/{{id}}"
        with self.request("GET", path, name) as answer:
            if self.is_good(answer, 200) and answer.json().get("id") != number:
                answer.failure("another product than the one that was asked for")

    def is_good(self, answer, *statuses):
        """Whether the answer has one of these statuses and was not compressed; otherwise it is a failure."""
        if answer.status_code not in statuses:
            answer.failure(f"status {answer.status_code}: {problem_of(answer)}")
            return False
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            answer.failure(f"compressed ({answer.headers['Content-Encoding']}) although identity was asked for")
            return False
        return True


def problem_of(answer):
    """What the service says is wrong, in its own short word, so that failures stay few lines."""
    if not answer.status_code:
        return f"no answer ({type(answer.error).__name__})"
    try:
        return json.loads(answer.content)["type"].rsplit(":", 1)[-1]
    except (ValueError, KeyError, TypeError):
        return "no problem document"


class Writer(Client):
    """Somebody with an account of their own, signed in before they do anything."""

    abstract = True

    def on_start(self):
        self.account = f"locust-{secrets.token_hex(8)}"
        self.password = secrets.token_urlsafe(16)
        self.enter("register", 201)
        self.sign_in()

    def sign_in(self):
        session = self.enter("login", 200)
        self.bearer = {"Authorization": f"Bearer {session['access_token']}"}
        # Well before the token ends: a soak is longer than one holds.
        self.sign_in_again = time.monotonic() + session["expires_in"] / 2

    def enter(self, what, status):
        """Registers or signs in. Passwords are hashed slowly on purpose, so that a service that is asked by
        many at once says 503 and when to come again; whoever does as told has not failed."""
        body = {"name": self.account, "password": self.password}
        for tried in range(1, SIGN_INS + 1):
            with self.request("POST", f"/auth/{what}", json=body) as answer:
                if answer.status_code == 503 and tried < SIGN_INS:
                    answer.success()
                    wait = float(answer.headers.get("Retry-After", 1))
                else:
                    entered = answer.json() if self.is_good(answer, status) else None
                    break
            sleep(wait)
        if entered is None:
            raise StopUser
        return entered

    def written(self):
        """Headers of a request that writes."""
        if time.monotonic() > self.sign_in_again:
            self.sign_in()
        return self.bearer

    def order(self, numbers):
        """Orders one of each of these products. That one is sold out is an answer, not a failure."""
        headers = {**self.written(), "Idempotency-Key": secrets.token_hex(16)}
        lines = [{"product_id": number, "quantity": 1} for number in numbers]
        with self.request("POST", "/orders", headers=headers, json={"lines": lines}) as answer:
            if answer.status_code == 409 and problem_of(answer) == "not-enough":
                answer.success()
            elif self.is_good(answer, 201) and len(answer.json()["lines"]) != len(numbers):
                answer.failure("an order with other lines than asked for")

    def restock(self, number, stock):
        """Sets the stock of a product, whatever it was."""
        headers = {**self.written(), "If-Match": "*"}
        with self.request("PATCH", f"/products/{number}", "/products/{id}", headers, json={"stock": stock}) as answer:
            if self.is_good(answer, 200) and answer.json()["stock"] != stock:
                answer.failure(f"a stock of {answer.json()['stock']} instead of {stock}")


class Turns:
    """The strategies in turn, whoever asks, so that each gets the same share."""

    def __init__(self):
        self.numbers = itertools.count()

    def next(self):
        return STRATEGIES[next(self.numbers) % len(STRATEGIES)]


TURNS = Turns()


def some_list(user):
    user.products(TURNS.next(), rows=20, **random.choice(LISTS))


def some_product(user):
    user.product(TURNS.next(), random.choice(PRODUCTS))


def some_order(user):
    user.order(random.sample(range(1, 1001), random.randint(1, 3)))


def some_restock(user):
    user.restock(random.randint(1, 1000), random.randint(50, 500))


class Stages(LoadTestShape):
    """Levels one after the other, each (seconds, users); users come and go `rate` a second. With --short the same
    levels in less time, with `short_users` at most."""

    abstract = True
    stages = ()
    rate = 100
    short_users = 1000

    def tick(self):
        options = self.runner.environment.parsed_options
        is_short = options is not None and options.short
        hurry = max(1.0, sum(length for length, _ in self.stages) / SHORT) if is_short else 1.0
        now = self.get_run_time() * hurry
        for length, users in self.stages:
            if now < length:
                return min(users, self.short_users) if is_short else users, self.rate * hurry
            now -= length
        return None


class SignedIn(Stages):
    """Levels of users who sign in: as few a second as the service can hash passwords of."""

    abstract = True
    rate = 4
    short_users = 5
