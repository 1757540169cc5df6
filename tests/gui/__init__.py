"""Tests in a real Blender window."""
