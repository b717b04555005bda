"""`python -m harambee`: the same command as `harambee`."""

from harambee.cli.main import main

if __name__ == "__main__":
    main()
