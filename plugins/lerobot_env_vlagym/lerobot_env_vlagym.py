"""Importing this registers the environment type `vlagym` with LeRobot."""

from vlagym.benchmark.hosts.lerobot.plugin import VlagymEnvConfig as VlagymEnvConfig
