"""Forms made from config models."""
