"""``bninit inspect``."""
