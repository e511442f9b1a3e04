"""The next release: three queries that the shop never sent."""

from django.http import HttpRequest, JsonResponse

from shop.models import Customer, Order


def count(_request: HttpRequest, customer: int) -> JsonResponse:
    """Count the orders of a customer."""
    return JsonResponse({"count": Order.objects.filter(customer_id=customer).count()})


def cities(_request: HttpRequest) -> JsonResponse:
    """List the cities of the customers."""
    names = Customer.objects.order_by("city").values_list("city", flat=True).distinct()
    return JsonResponse({"cities": list(names)})


def move(request: HttpRequest, customer: int) -> JsonResponse:
    """Change the city of a customer."""
    moved = Customer.objects.filter(pk=customer).update(city=request.POST["city"])
    return JsonResponse({"moved": moved})
