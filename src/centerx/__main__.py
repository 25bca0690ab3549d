"""`python -m centerx`."""

from centerx.cli.main import main

if __name__ == "__main__":
    main()
