"""The Train widget: a network learns while you watch."""
