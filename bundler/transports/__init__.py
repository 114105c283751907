"""Media that images come from and go to; each is a Source, a Target, or both."""
