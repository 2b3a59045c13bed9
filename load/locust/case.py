"""The case: 20 users who pause 233 ms ask the three endpoints in turn for the same products, 35 % of all."""

from locust import events, task

from poolwise import STRATEGIES, Client, Stages


@events.init_command_line_parser.add_listener
def _(parser):
    group = parser.add_argument_group("The case")
    group.add_argument("--seconds", type=float, default=60, help="How long it takes (60)")
    group.add_argument("--clients", type=int, default=20, help="Users (20)")
    group.add_argument("--pause", type=float, default=233, help="Milliseconds after each answer (233)")
    group.add_argument("--limit", type=int, default=0, help="Rows of an answer (0: all that match)")
    group.add_argument("--rows", type=int, default=21000, help="Rows that an answer must have (21000)")


class Customer(Client):
    turn = 0

    def wait_time(self):
        return self.environment.parsed_options.pause / 1000

    def on_start(self):
        Customer.turn += 1
        self.turn = Customer.turn

    @task
    def ask(self):
        options = self.environment.parsed_options
        limit = {"limit": options.limit} if options.limit else {}
        self.turn += 1
        self.products(STRATEGIES[self.turn % 3], rows=options.rows, category="electronics", **limit)


class Shape(Stages):
    rate = 20

    @property
    def stages(self):
        options = self.runner.environment.parsed_options
        return [(options.seconds, options.clients)] if options else []
