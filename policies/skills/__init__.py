"""Reach, grasp, place, hook, pull: closed-loop skills over the true state of the scene. A task's plan is a list of them."""
