"""What all widgets in which a network learns have in common."""
