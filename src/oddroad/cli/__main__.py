"""``python -m oddroad.cli VERB``, which torchrun needs."""

import sys

from oddroad.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
