"""x."""
VALUE = 3
