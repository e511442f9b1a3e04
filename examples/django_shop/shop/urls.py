"""Addresses."""

from django.urls import path

from shop import release_2, views

urlpatterns = [
    path("customers/", views.customers),
    path("customers/<int:customer>/orders/", views.orders),
    path("revenue/", views.revenue),
    path("customers/<int:customer>/count/", release_2.count),
    path("customers/<int:customer>/move/", release_2.move),
    path("cities/", release_2.cities),
]
