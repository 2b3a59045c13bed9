"""Spike: 20 users, at once 200, and 20 again. What fails in the peak, and how soon is it over?"""

from locust import constant

from poolwise import Client, Stages, some_list, some_product


class Reader(Client):
    wait_time = constant(0.1)
    tasks = {some_list: 3, some_product: 2}


class Shape(Stages):
    stages = [(20, 20), (20, 200), (20, 20)]
    rate = 200
