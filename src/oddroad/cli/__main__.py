"""``python -m oddroad.cli VERB``, and what the command ``oddroad`` starts; an interrupted start is one line too."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command line; returns the exit code."""
    try:
        from oddroad.cli.main import main

        return main()
    except KeyboardInterrupt:
        print("oddroad: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
