"""Queries of an ordinary shop, which most scenarios share."""

from typing import Final

from backwatch.attack.baseline.year.scenario import Query

SQL: Final = (
    Query(
        "SELECT id, name, price FROM products WHERE category_id = ? ORDER BY position LIMIT ?",
        "shop/catalogue.py:list_products", "/c/{slug}", 24, 180, 20, 0.1,
    ),
    Query(
        "SELECT id, name, price, description FROM products WHERE id = ?",
        "shop/catalogue.py:show_product", "/p/{id}", 1, 900, 30,
    ),
    Query("SELECT quantity FROM stock WHERE product_id = ?", "shop/stock.py:quantity_of", "/p/{id}", 1, 20, 30),
    Query("SELECT id, user_id, expires_at FROM sessions WHERE token = ?", "shop/auth.py:load_session", "", 1, 90, 60),
    Query("UPDATE sessions SET expires_at = ? WHERE id = ?", "shop/auth.py:touch_session", "", -1, 20, 12),
    Query("SELECT id, email, name FROM users WHERE id = ?", "shop/users.py:load_user", "/account", 1, 140, 12),
    Query(
        "SELECT id, product_id, quantity FROM cart_items WHERE cart_id = ?",
        "shop/cart.py:load_cart", "/cart", 3, 60, 15, 0.6,
    ),
    Query(
        "INSERT INTO cart_items (cart_id, product_id, quantity) VALUES (?, ?, ?)",
        "shop/cart.py:add_item", "/cart/add", -1, 20, 6,
    ),
    Query(
        "INSERT INTO orders (user_id, total, state) VALUES (?, ?, ?) RETURNING id",
        "shop/orders.py:place_order", "/checkout", 1, 20, 2,
    ),
    Query(
        "INSERT INTO order_items (order_id, product_id, quantity, price) VALUES (?, ?, ?, ?)",
        "shop/orders.py:add_order_item", "/checkout", -1, 20, 5,
    ),
    Query(
        "SELECT id, total, state FROM orders WHERE user_id = ? ORDER BY id DESC LIMIT ?",
        "shop/orders.py:list_orders", "/orders", 6, 80, 5, 0.6,
    ),
    Query("SELECT count(*) FROM reviews WHERE product_id = ?", "shop/reviews.py:count_reviews", "/p/{id}", 1, 12, 18),
)  # fmt: skip
CACHE: Final = (
    Query("GET session:?", "shop/cache.py:get_session", "", 1, 300, 60),
    Query("SET session:? ? EX ?", "shop/cache.py:put_session", "", -1, 5, 15, sent_bytes=340),
    Query("MGET price:?", "shop/cache.py:prices", "/c/{slug}", 1, 600, 20),
)
