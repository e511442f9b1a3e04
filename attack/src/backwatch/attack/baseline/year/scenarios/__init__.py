"""The scenarios of the quiet year: one file each for ordinary work that a naive detector would report."""
