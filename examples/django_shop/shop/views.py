"""What the shop does."""

from django.db.models import Sum
from django.http import HttpRequest, JsonResponse

from shop.models import Customer, Order


def orders(request: HttpRequest, customer: int) -> JsonResponse:
    """List the orders of a customer, or add one."""
    if request.method == "POST":
        order = Order.objects.create(customer_id=customer, total=int(request.POST["total"]))
        return JsonResponse({"id": order.pk})
    totals = Order.objects.filter(customer_id=customer).order_by("-id").values_list("total", flat=True)
    return JsonResponse({"totals": list(totals)})


def customers(request: HttpRequest) -> JsonResponse:
    """Find the customers of a city."""
    found = Customer.objects.filter(city=request.GET["city"]).order_by("name")
    return JsonResponse({"names": [customer.name for customer in found]})


def revenue(_request: HttpRequest) -> JsonResponse:
    """Sum all orders."""
    return JsonResponse({"revenue": Order.objects.aggregate(sum=Sum("total"))["sum"] or 0})
