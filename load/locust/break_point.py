"""Break-point: 200 users, then 100 more at a time, until requests fail or the 95th percentile of a level is late.

Each level is judged by its own requests, without those of its first third, in which users come. The last line says
which level broke and why, and whether it was Locust that had no processor left: then it is Locust's limit and not the
service's. `break_point_levels.csv` beside the other results has every level.
"""

import csv
import pathlib

from locust import constant, events
from locust.runners import WorkerRunner

from poolwise import SHORT, Client, LoadTestShape, alone, some_list, some_product


@events.init.add_listener
def _(environment, **_):
    alone(environment, "a break-point")


@events.init_command_line_parser.add_listener
def _(parser):
    group = parser.add_argument_group("Break-point")
    group.add_argument("--first", type=int, default=200, help="Users of the first level (200)")
    group.add_argument("--step", type=int, default=100, help="Users more at each level (100)")
    group.add_argument("--last", type=int, default=2000, help="Users of the last level that is tried (2000)")
    group.add_argument("--hold", type=float, default=30, help="Seconds of a level (30)")
    group.add_argument("--late", type=float, default=1000, help="Milliseconds that the 95th percentile may have (1000)")
    group.add_argument("--failures", type=float, default=0.01, help="Share of requests that may fail (0.01)")


class Reader(Client):
    wait_time = constant(1)
    tasks = {some_list: 3, some_product: 2}


class Level:
    """What became of the requests of one level."""

    def __init__(self, users, begin, seconds):
        self.users, self.begin, self.seconds = users, begin, seconds
        self.times, self.failed = [], 0

    def add(self, milliseconds, has_failed):
        self.times.append(milliseconds)
        self.failed += has_failed

    def percentile(self, share):
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    def broken(self, late, failures):
        """Why it is broken, or None."""
        if not self.times:
            return "no answer at all"
        if self.failed / len(self.times) > failures:
            return f"{100 * self.failed / len(self.times):.1f} % of the requests failed"
        if self.percentile(0.95) > late:
            return f"the 95th percentile was {self.percentile(0.95):.0f} ms"
        return None


class Shape(LoadTestShape):
    def __init__(self):
        super().__init__()
        self.level, self.done, self.verdict = None, [], None

    def begin(self, users):
        options = self.runner.environment.parsed_options
        # Who came in the first third asks again a second later: a shorter level would have no requests to judge.
        seconds = SHORT if options.short else options.hold
        self.level = Level(users, self.get_run_time(), seconds)

    def record(self, response_time, exception, **_):
        """Users come in the first third of a level."""
        if self.level and self.get_run_time() > self.level.begin + self.level.seconds / 3:
            self.level.add(response_time, exception is not None)

    def tick(self):
        options = self.runner.environment.parsed_options
        # With --short two levels, so that it can be seen to climb.
        last = min(options.last, options.first + options.step) if options.short else options.last
        if self.level is None:
            if not isinstance(self.runner, WorkerRunner):
                self.runner.environment.events.request.add_listener(self.record)
            self.begin(options.first)
        elif self.get_run_time() >= self.level.begin + self.level.seconds:
            level = self.level
            self.done.append(level)
            why = level.broken(options.late, options.failures)
            late = level.percentile(0.95)
            rate = len(level.times) / (level.seconds * 2 / 3)
            print(f"{level.users} users: {rate:.0f} requests/s, p95 {late or 0:.0f} ms, {level.failed} failed{f': broken, {why}' if why else ''}")
            if why or level.users >= last:
                self.finish(level, why)
                return None
            self.begin(min(level.users + options.step, last))
        come = self.level.users - (self.done[-1].users if self.done else 0)
        return self.level.users, max(1, come * 3 / self.level.seconds)

    def finish(self, level, why):
        options = self.runner.environment.parsed_options
        held = [one.users for one in self.done if one is not level or not why]
        verdict = f"{max(held)} users are held" if held else f"not even {level.users} users are held"
        verdict += f", {level.users} are not: {why}." if why and held else f": {why}." if why else ", and no more were tried."
        if getattr(self.runner, "cpu_warning_emitted", False):
            verdict += " Locust itself had no processor left (over 90 %), so the service may hold more: have it run on a machine of its own."
        print(verdict)
        if options.csv_prefix:
            with open(f"{options.csv_prefix}_levels.csv", "w", encoding="utf-8", newline="") as file:
                lines = csv.writer(file)
                lines.writerow(("users", "requests", "failed", "p50_ms", "p95_ms", "broken"))
                for one in self.done:
                    why = one.broken(options.late, options.failures) or ""
                    times = [f"{one.percentile(share) or 0:.1f}" for share in (0.5, 0.95)]
                    lines.writerow((one.users, len(one.times), one.failed, *times, why))
