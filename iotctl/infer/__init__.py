"""Put a model on core devices, follow what it predicts."""
