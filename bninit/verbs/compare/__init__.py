"""``bninit compare``."""
