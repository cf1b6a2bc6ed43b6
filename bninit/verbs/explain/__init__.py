"""``bninit explain``."""
