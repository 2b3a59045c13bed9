"""Stages: users come up to 100 in steps, and go again."""

from locust import constant

from poolwise import Client, Stages, some_list, some_product


class Reader(Client):
    wait_time = constant(0.1)
    tasks = {some_list: 3, some_product: 2}


class Shape(Stages):
    stages = [(20, 20), (30, 50), (40, 100), (30, 20)]
    rate = 10
