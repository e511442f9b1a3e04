"""The views of the Django app, on unmanaged models; Django must be set up before this is imported."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import connection, models
from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.campaigns.apps.serving import page


class Member(models.Model):
    """A reader."""

    objects: ClassVar[Any]
    full_name = models.CharField(max_length=60)
    city = models.CharField(max_length=40)

    class Meta:
        """The table of the library."""

        app_label = "library"
        db_table = "member"
        managed = False


class Title(models.Model):
    """A book."""

    objects: ClassVar[Any]
    name = models.CharField(max_length=120)
    year = models.IntegerField()

    class Meta:
        """The table of the library."""

        app_label = "library"
        db_table = "title"
        managed = False


class Loan(models.Model):
    """A copy that a member has."""

    objects: ClassVar[Any]
    copy_id = models.IntegerField()
    member = models.ForeignKey(Member, on_delete=models.DO_NOTHING)

    class Meta:
        """The table of the library."""

        app_label = "library"
        db_table = "loan"
        managed = False


class Branch(models.Model):
    """A house of the library."""

    objects: ClassVar[Any]
    name = models.CharField(max_length=60)
    city = models.CharField(max_length=40)

    class Meta:
        """The table of the library."""

        app_label = "library"
        db_table = "branch"
        managed = False


def _respond(rows: Iterable[Any]) -> HttpResponse:
    return HttpResponse(page(rows).encode())


def member(request: HttpRequest) -> HttpResponse:
    """One member by its number."""
    return _respond(Member.objects.filter(pk=request.GET["id"]).values_list("id", "full_name", "city"))


def titles(request: HttpRequest) -> HttpResponse:
    """Titles whose name has a word."""
    found = Title.objects.filter(name__contains=request.GET["word"]).order_by("name")[:20]
    return _respond(found.values_list("id", "name", "year"))


def loans(request: HttpRequest) -> HttpResponse:
    """Loans of a member, with the member's name by a join."""
    found = Loan.objects.filter(member_id=request.GET["member"])
    return _respond(found.values_list("id", "copy_id", "member__full_name"))


def branches(_request: HttpRequest) -> HttpResponse:
    """All branches."""
    return _respond(Branch.objects.order_by("name").values_list("id", "name", "city"))


def find(request: HttpRequest) -> HttpResponse:
    """Members by number and part of the name; vulnerable."""
    number, name = request.GET["id"], request.GET["name"]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, full_name, city FROM member WHERE id >= {number} AND full_name LIKE '%{name}%' LIMIT 20"
        )
        return _respond(cursor.fetchall())


def sort(request: HttpRequest) -> HttpResponse:
    """Titles in the order that the visitor chose; vulnerable."""
    found = Title.objects.raw(f"SELECT id, name, year FROM title ORDER BY {request.GET['by']} LIMIT 20")
    return _respond((title.pk, title.name, title.year) for title in found)


def move(request: HttpRequest) -> HttpResponse:
    """Store a member's city."""
    return _respond([[Member.objects.filter(pk=request.GET["member"]).update(city=request.GET["city"])]])


def neighbours(request: HttpRequest) -> HttpResponse:
    """Members in the city of a member; vulnerable by what ``/move`` stored."""
    city = Member.objects.get(pk=request.GET["member"]).city
    found = Member.objects.raw(f"SELECT id, full_name FROM member WHERE city = '{city}' ORDER BY full_name LIMIT 20")
    return _respond((member.pk, member.full_name) for member in found)


urlpatterns = [
    *(path(view.__name__, view) for view in (member, titles, loans, branches, find, move, neighbours)),
    path("sorted", sort),
]
