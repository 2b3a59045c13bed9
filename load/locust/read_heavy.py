"""Read-heavy: nine reads for every write, 50 users."""

from locust import constant

from poolwise import SignedIn, Writer, some_list, some_order, some_product, some_restock


class Shopper(Writer):
    wait_time = constant(0.1)
    tasks = {some_list: 54, some_product: 36, some_order: 5, some_restock: 5}


class Shape(SignedIn):
    stages = [(120, 50)]
