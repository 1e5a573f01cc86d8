"""What several axes share: how things are exchanged, moved, recoloured and said again."""
