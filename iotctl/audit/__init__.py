"""Find where the fleet differs from what was declared."""
