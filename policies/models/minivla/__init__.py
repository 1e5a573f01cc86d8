"""minivla: a small visuomotor policy that is told in words what to do."""
