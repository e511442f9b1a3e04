"""A shop with customers and orders."""
