"""``python -m bninit``."""

from bninit.cli.app import main

main()
