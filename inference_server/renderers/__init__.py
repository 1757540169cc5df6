"""Portrait + Motion -> frames."""
