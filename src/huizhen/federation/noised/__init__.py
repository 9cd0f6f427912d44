"""Noise around any way of adding up: what is planned, what a site adds, what it has sent, how the hub reads the sum."""
