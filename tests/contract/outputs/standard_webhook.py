"""Environment that configures the output of this name."""

import base64

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def environment(url: str) -> dict[str, str]:
    return {
        "BACKWATCH_WEBHOOK_URL": url, "BACKWATCH_WEBHOOK_SECRET": SECRET,
        "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    }  # fmt: skip
