"""Baseline: what answers cost while nothing is busy. Five users ask for pages of 100 rows."""

import random

from locust import constant, task

from poolwise import TURNS, Client, Stages

PAGES = ({"category": "books"}, {"category": "electronics"}, {"category": "food"}, {"in_stock": "true"})


class Visitor(Client):
    wait_time = constant(0.2)

    @task
    def page(self):
        self.products(TURNS.next(), rows=100, limit=100, **random.choice(PAGES))


class Shape(Stages):
    stages = [(60, 5)]
