"""Soak: a moderate load for half an hour, or as long as `--minutes` says. Does anything grow or slow down with time?"""

from locust import constant, events

from poolwise import Client, Stages, some_list, some_product


@events.init_command_line_parser.add_listener
def _(parser):
    parser.add_argument("--minutes", type=float, default=30, help="How long it takes (30)")


class Reader(Client):
    wait_time = constant(0.1)
    tasks = {some_list: 3, some_product: 2}


class Shape(Stages):
    @property
    def stages(self):
        options = self.runner.environment.parsed_options
        return [((options.minutes if options else 30) * 60, 20)]
