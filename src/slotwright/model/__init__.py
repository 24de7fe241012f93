"""Values only: frozen dataclasses that know nothing of the world."""
