"""Layers in register: the only room that knows scale, translate and units."""
