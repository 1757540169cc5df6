"""Frame -> frame: photo and ink."""
