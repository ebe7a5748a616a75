"""The Data widget: what networks learn from."""
