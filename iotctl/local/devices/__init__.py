"""Simulated things: they know AWS's protocols, and nothing of the platform that they connect to."""
