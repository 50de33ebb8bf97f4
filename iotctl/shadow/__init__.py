"""Read, change and compare device state."""
