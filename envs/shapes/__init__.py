"""The shapes that things are made of, from primitives that the physics engine knows to meshes made of numbers."""
