"""``bninit train``."""
