"""Write-heavy: four writes for every read, 50 users."""

from locust import constant

from poolwise import SignedIn, Writer, some_list, some_order, some_product, some_restock


class Shopper(Writer):
    wait_time = constant(0.1)
    tasks = {some_list: 12, some_product: 8, some_order: 40, some_restock: 40}


class Shape(SignedIn):
    stages = [(120, 50)]
