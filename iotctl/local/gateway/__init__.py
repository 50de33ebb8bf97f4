"""What clients connect to: HTTP, MQTT, WebSocket."""
