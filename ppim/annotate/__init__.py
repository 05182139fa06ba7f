"""Label maps made offline, by a model that already knows the classes."""
