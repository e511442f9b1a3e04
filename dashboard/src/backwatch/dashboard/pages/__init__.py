"""The pages, one file each: layout only. Data comes from ``reads`` and reaches the screen through ``safe``."""
