"""Torch modules only: networks and their building blocks."""
