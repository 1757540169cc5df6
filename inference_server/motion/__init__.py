"""Motion -> Motion: the ARKit basis, the artist channels, closures, holds and the report."""
