"""`python -m redurable` is the command line."""

from redurable.cli.main import run

if __name__ == "__main__":
    run()
