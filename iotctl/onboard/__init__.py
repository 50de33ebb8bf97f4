"""A CSV becomes registered things with certificates."""
