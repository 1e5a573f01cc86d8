"""vlagym: a simulation benchmark that asks whether a Vision-Language-Action policy does what it is told."""

__version__ = "0.1.0"
