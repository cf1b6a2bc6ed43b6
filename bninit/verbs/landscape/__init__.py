"""``bninit landscape``."""
