"""Mouth cues and curves of other programs: Rhubarb, Papagayo and Moho, ARKit; in and out."""
