"""How a new statement differs from the nearest known one, judged on canonical text in compiled kernels."""
