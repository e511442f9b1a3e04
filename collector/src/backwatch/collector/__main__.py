"""``python -m backwatch.collector``: the ``backwatch`` command, where its script is not on the path."""

from backwatch.collector.cli import main

if __name__ == "__main__":
    main(prog_name="backwatch")
