"""``bninit study``."""
