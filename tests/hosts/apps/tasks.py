"""Celery's side of the app."""

import os

import celery
from shop import ask

worker = celery.Celery("tasks", broker=os.environ["SHOP_BROKER_URL"], backend=os.environ["SHOP_BROKER_URL"])
worker.conf.worker_prefetch_multiplier = 1


@worker.task(name="asked")
def asked(name: str) -> str:
    """One query."""
    return ask(name)
