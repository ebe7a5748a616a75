"""The Distill widget: a small network learns from a large one while you watch."""
