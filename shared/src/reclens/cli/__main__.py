"""``python -m reclens.cli``: the command without its script."""

from reclens.cli.main import main

if __name__ == "__main__":
    main()
