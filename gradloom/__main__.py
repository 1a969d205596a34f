"""``python -m gradloom`` is the command ``gradloom``."""

import sys

from gradloom.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
