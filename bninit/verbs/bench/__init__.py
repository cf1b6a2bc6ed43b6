"""``bninit bench``."""
