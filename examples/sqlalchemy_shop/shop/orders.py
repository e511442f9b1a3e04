"""What the shop does."""

from sqlalchemy import func, select

from shop.models import Customer, Order, Session


def add_customer(name: str, city: str) -> int:
    """Add a customer and return its id."""
    with Session.begin() as session:
        customer = Customer(name=name, city=city)
        session.add(customer)
        session.flush()
        return customer.id


def add_order(customer_id: int, total: int) -> int:
    """Add an order and return its id."""
    with Session.begin() as session:
        order = Order(customer_id=customer_id, total=total)
        session.add(order)
        session.flush()
        return order.id


def list_orders(customer_id: int) -> list[int]:
    """Return the totals of a customer's orders, newest first."""
    with Session() as session:
        query = select(Order.total).where(Order.customer_id == customer_id).order_by(Order.id.desc())
        return list(session.scalars(query))


def find_customers(city: str) -> list[str]:
    """Return the names of the customers of a city."""
    with Session() as session:
        return list(session.scalars(select(Customer.name).where(Customer.city == city).order_by(Customer.name)))


def sum_revenue() -> int:
    """Return the sum of all orders."""
    with Session() as session:
        return session.scalar(select(func.sum(Order.total))) or 0
