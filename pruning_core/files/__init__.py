"""Files that people name: read within bounds, written whole or not at all."""
