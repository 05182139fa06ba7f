"""`python -m ppim COMMAND ...`"""
import sys

from ppim.cli import main

if __name__ == "__main__":
    sys.exit(main())
