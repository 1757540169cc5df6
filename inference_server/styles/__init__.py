"""Media in which a picture is redrawn: photo, ink, pencil, cartoon, oil and watercolour."""
