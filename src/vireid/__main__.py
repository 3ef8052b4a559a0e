"""``python -m vireid``: the command line."""

from vireid.cli import main

if __name__ == "__main__":
    main()
