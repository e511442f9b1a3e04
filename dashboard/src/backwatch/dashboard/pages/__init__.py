"""One page, one file: what stands where. What it says comes from ``reads``, and reaches the screen through ``safe``."""
