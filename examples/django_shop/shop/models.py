"""Tables."""

from django.db import models


class Customer(models.Model):
    """A customer."""

    name = models.CharField(max_length=80)
    city = models.CharField(max_length=80)


class Order(models.Model):
    """An order."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    total = models.IntegerField()
