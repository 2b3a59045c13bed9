"""Smoke: is it up? One user asks everything once in a while, and signs in and writes too."""

from locust import constant, task

from poolwise import STRATEGIES, Stages, Writer, some_list, some_order, some_product, some_restock


class Visitor(Writer):
    wait_time = constant(0.1)
    tasks = [some_list, some_product, some_order, some_restock]

    @task
    def ready(self):
        with self.request("GET", "/health/ready") as answer:
            self.is_good(answer, 200)

    @task
    def strategies(self):
        with self.request("GET", "/strategies") as answer:
            missing = self.is_good(answer, 200) and set(STRATEGIES) - {one["path"].split("/")[2] for one in answer.json()}
            if missing:
                answer.failure(f"these strategies are missing: {', '.join(sorted(missing))}")


class Shape(Stages):
    stages = [(20, 1)]
